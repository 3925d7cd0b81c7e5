// The durable row's two handlers with Restate's TypeScript SDK.
import * as restate from "@restatedev/restate-sdk";

// Part of Node from version 22 on; the SDK needs it.
if (!Promise.withResolvers) {
  Promise.withResolvers = () => {
    let resolve, reject;
    const promise = new Promise((yes, no) => { resolve = yes; reject = no; });
    return { promise, resolve, reject };
  };
}

const tally = restate.object({
  name: "tally",
  handlers: {
    add: async (ctx, { amount }) => {
      const count = ((await ctx.get("count")) ?? 0) + amount;
      ctx.set("count", count);
      return count;
    },
  },
});

const trip = restate.object({
  name: "trip",
  handlers: {
    steps: async (ctx, { amount }) => {
      for (const name of ["first", "second", "third"]) {
        const before = amount;
        amount = await ctx.run(name, () => before + 1);
      }
      return amount;
    },
  },
});

restate.serve({ services: [tally, trip], port: Number(process.env.PORT) });
