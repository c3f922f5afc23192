// SPDX-License-Identifier: Apache-2.0

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.MessageFormatter;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.connect.mirror.Checkpoint;
import org.apache.kafka.connect.mirror.MirrorCheckpointTask;
import org.apache.kafka.connect.mirror.MirrorClient;
import org.apache.kafka.connect.mirror.RemoteClusterUtils;
import org.apache.kafka.connect.mirror.formatters.CheckpointFormatter;
import org.apache.kafka.connect.mirror.formatters.HeartbeatFormatter;
import org.apache.kafka.connect.mirror.formatters.OffsetSyncFormatter;
import org.apache.kafka.connect.source.SourceRecord;

/**
 * What MM2's own classes make of a cluster. Reads questions, lines of JSON with an array of words, and
 * answers each with a line; the Python side judges.
 *
 * <p>`ask FILE SOURCE GROUP...`: FILE has the properties of MirrorClient; SOURCE is the alias
 * that is asked about.
 *
 * <p>`print ADDRESS/TOPIC...`: every record of these topics, through the formatter that belongs
 * to the topic.
 *
 * <p>`checkpoints FILE ROUNDS`: the checkpoints that MM2's checkpoint task makes, until it has no
 * more to say; FILE has the properties of the task.
 */
public class Mm2 {
    private static final Duration TIMEOUT = Duration.ofSeconds(30);

    public static void main(String[] args) throws Exception {
        ObjectMapper mapper = new ObjectMapper();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Map<String, Object> answer = new TreeMap<>();
            try {
                answer.put("found", find(mapper.readValue(line, String[].class)));
            } catch (Exception e) {
                StringWriter trace = new StringWriter();
                e.printStackTrace(new PrintWriter(trace));
                answer.put("error", trace.toString());
            }
            System.out.println(mapper.writeValueAsString(answer));
        }
    }

    private static Object find(String[] args) throws Exception {
        switch (args[0]) {
            case "ask": return ask(args);
            case "print": return print(args);
            case "checkpoints": return checkpoints(args);
            default: throw new IllegalArgumentException(args[0]);
        }
    }

    private static Map<String, String> load(String file) throws Exception {
        Properties properties = new Properties();
        properties.load(Files.newBufferedReader(Path.of(file)));
        Map<String, String> all = new TreeMap<>();
        properties.forEach((key, value) -> all.put((String) key, (String) value));
        return all;
    }

    private static Object ask(String[] args) throws Exception {
        Map<String, Object> config = new TreeMap<>(load(args[1]));
        String source = args[2];
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("upstreamClusters", new TreeSet<>(RemoteClusterUtils.upstreamClusters(config)));
        found.put("replicationHops", RemoteClusterUtils.replicationHops(config, source));
        found.put("heartbeatTopics", new TreeSet<>(RemoteClusterUtils.heartbeatTopics(config)));
        found.put("checkpointTopics", new TreeSet<>(RemoteClusterUtils.checkpointTopics(config)));
        try (MirrorClient client = new MirrorClient(config)) {
            found.put("remoteTopics", new TreeSet<>(client.remoteTopics()));
            found.put("remoteTopicsOfSource", new TreeSet<>(client.remoteTopics(source)));
        }
        Map<String, Object> groups = new TreeMap<>();
        for (int i = 3; i < args.length; i++) {
            Map<String, Long> offsets = new TreeMap<>();
            Map<TopicPartition, OffsetAndMetadata> translated =
                RemoteClusterUtils.translateOffsets(config, source, args[i], TIMEOUT);
            translated.forEach((partition, at) -> offsets.put(partition.toString(), at.offset()));
            groups.put(args[i], offsets);
        }
        found.put("translateOffsets", groups);
        return found;
    }

    private static MessageFormatter formatter(String topic) {
        if (topic.endsWith("heartbeats")) {
            return new HeartbeatFormatter();
        }
        return topic.startsWith("mm2-offset-syncs") ? new OffsetSyncFormatter() : new CheckpointFormatter();
    }

    private static Object print(String[] args) throws Exception {
        Map<String, Object> found = new LinkedHashMap<>();
        for (int i = 1; i < args.length; i++) {
            String[] place = args[i].split("/");
            List<String> lines = new ArrayList<>();
            MessageFormatter formatter = formatter(place[1]);
            for (ConsumerRecord<byte[], byte[]> record : read(place[0], place[1])) {
                ByteArrayOutputStream text = new ByteArrayOutputStream();
                formatter.writeTo(record, new PrintStream(text, true, StandardCharsets.UTF_8));
                lines.add(text.toString(StandardCharsets.UTF_8).strip());
            }
            found.put(place[1], lines);
        }
        return found;
    }

    private static List<ConsumerRecord<byte[], byte[]>> read(String address, String topic) {
        Map<String, Object> config = Map.of("bootstrap.servers", address, "auto.offset.reset", "earliest");
        List<ConsumerRecord<byte[], byte[]>> all = new ArrayList<>();
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> consumer =
                 new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            while (consumer.position(partition) < end) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofSeconds(1));
                records.forEach(all::add);
            }
        }
        return all;
    }

    /**
     * Runs the task as a Connect worker does, without one. It says nothing of the groups that it
     * comes to before it has read all offset syncs, so the first round may lack some.
     */
    private static Object checkpoints(String[] args) throws Exception {
        Map<String, Map<String, Long>> found = new TreeMap<>();
        MirrorCheckpointTask task = new MirrorCheckpointTask();
        task.start(load(args[1]));
        int quiet = 0;
        for (int round = Integer.parseInt(args[2]); round > 0 && quiet < 2; round--) {
            List<SourceRecord> records = task.poll();
            if (records == null) {
                quiet += found.isEmpty() ? 0 : 1;
                continue;
            }
            quiet = 0;
            for (SourceRecord record : records) {
                Checkpoint checkpoint = Checkpoint.deserializeRecord(new ConsumerRecord<>(
                    record.topic(), 0, 0, (byte[]) record.key(), (byte[]) record.value()));
                found.computeIfAbsent(checkpoint.consumerGroupId(), group -> new TreeMap<>())
                    .put(checkpoint.topicPartition().toString(), checkpoint.downstreamOffset());
            }
        }
        task.stop();
        return found;
    }
}
