import static org.apache.kafka.streams.StreamsConfig.*;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The counter on Kafka Streams: one stream thread, exactly once, its RocksDB store with a changelog topic.
 *
 * <p>The store has no record cache, as a processor's store has none by default: each count is written to the
 * store and to the changelog, as each turn of plexstream's is to its journal.
 */
public final class StreamsCounter {
  private static final String STORE = "counters";
  private static final ObjectMapper JSON = new ObjectMapper();

  private StreamsCounter() {}

  public static void main(String[] arguments) {
    Map<String, String> env = System.getenv();
    Topology topology = new Topology();
    topology.addSource(
        "orders", Serdes.String().deserializer(), Serdes.ByteArray().deserializer(), env.get("PEER_IN"));
    topology.addProcessor("count", Count::new, "orders");
    topology.addStateStore(
        Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(STORE), Serdes.String(), Serdes.ByteArray()),
        "count");
    topology.addSink(
        "counts", env.get("PEER_OUT"), Serdes.String().serializer(), Serdes.ByteArray().serializer(), "count");

    Properties settings = new Properties();
    settings.put(APPLICATION_ID_CONFIG, env.get("PEER_ID"));
    settings.put(BOOTSTRAP_SERVERS_CONFIG, env.get("BOOTSTRAP"));
    settings.put(STATE_DIR_CONFIG, env.get("PEER_STATE"));
    settings.put(PROCESSING_GUARANTEE_CONFIG, EXACTLY_ONCE_V2);
    settings.put(COMMIT_INTERVAL_MS_CONFIG, env.get("PEER_COMMIT_MS"));
    settings.put(NUM_STREAM_THREADS_CONFIG, "1");
    settings.put(REPLICATION_FACTOR_CONFIG, "1");
    // Known by its name, as plexstream's workers are: otherwise whoever ended stays a member for 45 s, also in
    // good order, and who starts again waits so long.
    settings.put(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG, env.get("PEER_ID"));
    settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");

    KafkaStreams streams = new KafkaStreams(topology, settings);
    streams.setGlobalStateRestoreListener(new Restored());
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
  }

  /** One more. */
  private static final class Count implements Processor<String, byte[], String, byte[]> {
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> store;

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
      this.context = context;
      store = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<String, byte[]> order) {
      try {
        JsonNode asked = JSON.readTree(order.value());
        byte[] before = store.get(order.key());
        long count = 1 + (before == null ? 0 : JSON.readTree(before).get("count").longValue());
        store.put(order.key(), JSON.writeValueAsBytes(
            JSON.createObjectNode().put("count", count).put("amount", asked.get("amount").longValue())));
        context.forward(order.withValue(JSON.writeValueAsBytes(
            JSON.createObjectNode().put("key", asked.get("key").textValue()).put("count", count))));
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }

  /** Says how long each partition's store took to come back from its changelog. */
  private static final class Restored implements StateRestoreListener {
    private final Map<TopicPartition, Long> began = new java.util.concurrent.ConcurrentHashMap<>();

    @Override
    public void onRestoreStart(TopicPartition partition, String store, long first, long end) {
      began.put(partition, System.currentTimeMillis());
    }

    @Override
    public void onBatchRestored(TopicPartition partition, String store, long end, long records) {}

    @Override
    public void onRestoreEnd(TopicPartition partition, String store, long records) {
      System.out.printf(
          "restored {\"records\": %d, \"began\": %d, \"ended\": %d}%n",
          records, began.remove(partition), System.currentTimeMillis());
    }
  }
}
