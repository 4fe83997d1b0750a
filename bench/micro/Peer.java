import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.api.ContextualFixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;
import org.apache.kafka.streams.state.WindowStoreIterator;

/** One job on Kafka Streams, in its DSL, with the same records in and out as the engines. Ends when stdin does. */
public final class Peer {
    /** An event; its time is in microseconds. */
    record Event(String key, String id, long value, long time) {}

    private static final JsonFactory JSON = new JsonFactory();
    private static final Serde<String> TEXT = Serdes.String();
    private static final Serde<Event> EVENTS = Serdes.serdeFrom((topic, event) -> pack(event), (topic, data) -> unpack(data));
    private static final Serde<byte[]> ROWS = Serdes.ByteArray();

    public static void main(String[] args) throws Exception {
        Map<String, String> told = new HashMap<>();
        for (String arg : args) {
            told.put(arg.substring(0, arg.indexOf('=')), arg.substring(arg.indexOf('=') + 1));
        }
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, told.get("group"));
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, told.get("bootstrap"));
        config.put(StreamsConfig.STATE_DIR_CONFIG, told.get("state"));
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, told.get("commit_ms"));
        config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, told.get("cache_bytes"));
        config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, "1");
        config.put("auto.offset.reset", "earliest");
        KafkaStreams streams = new KafkaStreams(topology(told).build(), config);
        CountDownLatch running = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                running.countDown();
            }
            if (now == KafkaStreams.State.ERROR) {
                System.exit(1);
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
        streams.start();
        running.await();
        System.out.println("{\"ready\": {}}");
        while (System.in.read() >= 0) { }
        System.exit(0);
    }

    private static StreamsBuilder topology(Map<String, String> told) {
        StreamsBuilder builder = new StreamsBuilder();
        String[] topics = told.get("inputs").split(",");
        boolean cached = !told.get("cache_bytes").equals("0");
        KStream<String, Event> events = input(builder, topics[0]);
        Duration span = Duration.ofMillis(Long.parseLong(told.getOrDefault("span_ms", "0")));
        Duration grace = Duration.ofMillis(Long.parseLong(told.getOrDefault("grace_ms", "0")));
        KStream<String, byte[]> rows = switch (told.get("work")) {
            case "filter" -> events.filter((key, event) -> event.value() < 5).mapValues(Peer::passed);
            case "running-count" -> {
                Materialized<String, Long, KeyValueStore<Bytes, byte[]>> store = Materialized.as("counts");
                store.withKeySerde(TEXT).withValueSerde(Serdes.Long());
                yield events.groupByKey(Grouped.with(TEXT, EVENTS))
                    .count(cached ? store.withCachingEnabled() : store.withCachingDisabled())
                    .toStream().mapValues((key, n) -> bytes("{\"k\":\"" + key + "\",\"n\":" + n + "}"));
            }
            case "tumbling" -> {
                Materialized<String, Long, WindowStore<Bytes, byte[]>> store = Materialized.as("windows");
                store.withKeySerde(TEXT).withValueSerde(Serdes.Long());
                yield events.groupByKey(Grouped.with(TEXT, EVENTS))
                    .windowedBy(TimeWindows.ofSizeAndGrace(span, grace))
                    .count(cached ? store.withCachingEnabled() : store.withCachingDisabled())
                    .suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()))
                    .toStream().map((at, n) -> row(at, n, 0));
            }
            case "session" -> {
                Materialized<String, Long, SessionStore<Bytes, byte[]>> store = Materialized.as("sessions");
                store.withKeySerde(TEXT).withValueSerde(Serdes.Long());
                yield events.groupByKey(Grouped.with(TEXT, EVENTS))
                    .windowedBy(SessionWindows.ofInactivityGapAndGrace(span, grace))
                    .count(cached ? store.withCachingEnabled() : store.withCachingDisabled())
                    .suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()))
                    .toStream().map((at, n) -> row(at, n, span.toMillis()));
            }
            case "interval-join" -> events.join(
                input(builder, topics[1]), Peer::pair, JoinWindows.ofTimeDifferenceAndGrace(span, grace),
                StreamJoined.with(TEXT, EVENTS, EVENTS));
            case "dedup" -> {
                // The DSL has none: as its users write it, ids are kept in a window store for as long as they are known.
                Duration kept = span.plus(grace);
                StoreBuilder<WindowStore<String, Long>> store = Stores.windowStoreBuilder(
                    Stores.persistentWindowStore("seen", kept, span, false), TEXT, Serdes.Long());
                builder.addStateStore(cached ? store.withCachingEnabled() : store.withCachingDisabled());
                yield events.processValues(() -> new Firsts(span.toMillis()), "seen").mapValues(Peer::passed);
            }
            default -> throw new IllegalArgumentException(told.get("work"));
        };
        rows.to(told.get("output"), Produced.with(TEXT, ROWS));
        return builder;
    }

    /** Passes the first event of each key and id within the horizon. */
    private static final class Firsts extends ContextualFixedKeyProcessor<String, Event, Event> {
        private final long horizonMs;
        private WindowStore<String, Long> seen;

        Firsts(long horizonMs) {
            this.horizonMs = horizonMs;
        }

        @Override
        public void init(FixedKeyProcessorContext<String, Event> context) {
            super.init(context);
            seen = context.getStateStore("seen");
        }

        @Override
        public void process(FixedKeyRecord<String, Event> event) {
            long time = event.timestamp();
            String id = event.key() + '/' + event.value().id();
            try (WindowStoreIterator<Long> known = seen.fetch(id, time - horizonMs, time + horizonMs)) {
                if (known.hasNext()) {
                    return;
                }
            }
            seen.put(id, time, time);
            context().forward(event);
        }
    }

    private static KStream<String, Event> input(StreamsBuilder builder, String topic) {
        Consumed<String, Event> consumed = Consumed.with(TEXT, Serdes.serdeFrom(EVENTS.serializer(), (at, data) -> parse(data)));
        return builder.stream(topic, consumed.withTimestampExtractor((record, before) -> ((Event) record.value()).time() / 1000));
    }

    private static Event parse(byte[] data) {
        String key = null;
        String id = null;
        long value = 0;
        long time = 0;
        try (JsonParser json = JSON.createParser(data)) {
            json.nextToken();
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                String name = json.currentName();
                json.nextToken();
                switch (name) {
                    case "k" -> key = json.getText();
                    case "i" -> id = json.getText();
                    case "v" -> value = json.getLongValue();
                    case "t" -> time = json.getLongValue();
                    default -> json.skipChildren();
                }
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return new Event(key, id, value, time);
    }

    private static byte[] pack(Event event) {
        byte[] id = bytes(event.id());
        byte[] key = bytes(event.key());
        return ByteBuffer.allocate(20 + id.length + key.length).putLong(event.value()).putLong(event.time())
            .putInt(id.length).put(id).put(key).array();
    }

    private static Event unpack(byte[] data) {
        if (data == null) {
            return null;
        }
        ByteBuffer packed = ByteBuffer.wrap(data);
        long value = packed.getLong();
        long time = packed.getLong();
        byte[] id = new byte[packed.getInt()];
        packed.get(id);
        byte[] key = new byte[packed.remaining()];
        packed.get(key);
        return new Event(new String(key, StandardCharsets.UTF_8), new String(id, StandardCharsets.UTF_8), value, time);
    }

    private static byte[] passed(Event e) {
        return bytes("{\"k\":\"" + e.key() + "\",\"i\":\"" + e.id() + "\",\"v\":" + e.value() + ",\"t\":" + e.time() + "}");
    }

    private static byte[] pair(Event left, Event right) {
        return bytes("{\"k\":\"" + left.key() + "\",\"li\":\"" + left.id() + "\",\"lt\":" + left.time()
            + ",\"ri\":\"" + right.id() + "\",\"rt\":" + right.time() + "}");
    }

    private static org.apache.kafka.streams.KeyValue<String, byte[]> row(Windowed<String> at, long n, long beyondMs) {
        long end = (at.window().end() + beyondMs) * 1000;
        String json = "{\"k\":\"" + at.key() + "\",\"s\":" + at.window().start() * 1000 + ",\"e\":" + end + ",\"n\":" + n + "}";
        return org.apache.kafka.streams.KeyValue.pair(at.key(), bytes(json));
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
