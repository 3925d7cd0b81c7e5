"""A supervised pool of workers: a job that breaks its worker costs that one its state, and no more."""

from plexstream import Retry, actor, handler, host, state


@actor(retry=Retry(attempts=1))
class Worker:
    done: int = state(default=0)

    @handler("work")
    def work(self, batch: str, job: int) -> None:
        if job < 0:
            raise ValueError(f"job {job} cannot be done")  # the supervisor starts this worker anew
        self.done += 1
        host.tell(f"batch/{batch}", "result", job=job, value=job * job)

    @handler("get", read_only=True)
    def get(self) -> int:
        return self.done


@actor
class Batch:
    results: dict[str, int] = state(default_factory=dict)

    @handler("start")
    def start(self, jobs: list[int], workers: list[str]) -> None:
        for number, job in enumerate(jobs):
            worker = workers[number % len(workers)]
            host.tell(f"worker/{worker}", "work", batch=host.self_id().rpartition("/")[2], job=job)

    @handler("result")
    def result(self, job: int, value: int) -> None:
        self.results[str(job)] = self.results.get(str(job), 0) + value  # twice would show

    @handler("get", read_only=True)
    def get(self) -> dict:
        return self.results
