// SPDX-License-Identifier: Apache-2.0

import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeProducersResult.PartitionProducerState;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * kafka-clients, scenario by scenario: `Clients SCENARIO ADDRESS TOPIC [WORD]`. Each prints what it
 * found as one line of JSON; the Python side judges. An exception ends the program.
 */
public class Clients {
    private static final long TIMEOUT_MS = 30_000;

    private final String address;
    private final String topic;
    private final String word;
    private final Map<String, Object> found = new LinkedHashMap<>();

    private Clients(String[] args) {
        address = args[1];
        topic = args[2];
        word = args.length > 3 ? args[3] : "";
    }

    public static void main(String[] args) throws Exception {
        Clients clients = new Clients(args);
        switch (args[0]) {
            case "produce": clients.produce(); break;
            case "rebalance": clients.rebalance(); break;
            case "static": clients.staticMembers(); break;
            case "positions": clients.positions(); break;
            case "limits": clients.limits(); break;
            case "topics": clients.topics(); break;
            case "configs": clients.configs(); break;
            case "groups": clients.groups(); break;
            case "producers": clients.producers(); break;
            case "errors": clients.errors(); break;
            case "unsupported": clients.unsupported(); break;
            default: throw new IllegalArgumentException(args[0]);
        }
        System.out.println(new ObjectMapper().writeValueAsString(clients.found));
    }

    // -- words

    private Properties properties(String... pairs) {
        Properties made = new Properties();
        made.put("bootstrap.servers", address);
        made.put("enable.metrics.push", "false");
        for (int i = 0; i < pairs.length; i += 2) {
            made.put(pairs[i], pairs[i + 1]);
        }
        return made;
    }

    private KafkaProducer<byte[], byte[]> producer(String... pairs) {
        return new KafkaProducer<>(
            properties(pairs), new ByteArraySerializer(), new ByteArraySerializer());
    }

    private KafkaConsumer<byte[], byte[]> consumer(String... pairs) {
        Properties made = properties(
            "auto.offset.reset", "earliest", "enable.auto.commit", "false",
            "heartbeat.interval.ms", "200", "session.timeout.ms", "6000",
            "fetch.max.wait.ms", "100", "metadata.max.age.ms", "1000");
        for (int i = 0; i < pairs.length; i += 2) {
            made.put(pairs[i], pairs[i + 1]);
        }
        return new KafkaConsumer<>(made, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private Admin admin() {
        return Admin.create(properties());
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
    }

    private static <T> T get(Future<T> future) throws Exception {
        return future.get(TIMEOUT_MS, TimeUnit.MILLISECONDS);
    }

    /** The name of the error that the call ends with, "" if it ends well. */
    private static String error(Future<?> future) throws Exception {
        try {
            get(future);
            return "";
        } catch (ExecutionException e) {
            return e.getCause().getClass().getSimpleName();
        }
    }

    private static void until(String what, BooleanSupplier probe) {
        long end = System.currentTimeMillis() + TIMEOUT_MS;
        while (!probe.getAsBoolean()) {
            if (System.currentTimeMillis() > end) {
                throw new IllegalStateException("not in time: " + what);
            }
        }
    }

    private TopicPartition place(int partition) {
        return new TopicPartition(topic, partition);
    }

    private void create(Admin admin, int partitions) throws Exception {
        get(admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all());
    }

    private void send(int partition, int from, int to) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer("linger.ms", "5")) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = from; i < to; i++) {
                sent.add(producer.send(
                    new ProducerRecord<>(topic, partition, null, bytes(partition + "-" + i))));
            }
            producer.flush();
            for (Future<RecordMetadata> each : sent) {
                get(each);
            }
        }
    }

    private int partitions(Admin admin) {
        try {
            return get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions()
                .size();
        } catch (Exception e) {
            return 0;
        }
    }

    // -- scenarios

    /** Two producers in a row: codec `word`, every acks; the offsets that they are told. */
    private void produce() throws Exception {
        List<Long> offsets = new ArrayList<>();
        for (String acks : List.of("all", "1", "0")) {
            String idempotent = acks.equals("all") ? "true" : "false";
            try (KafkaProducer<byte[], byte[]> producer = producer(
                    "compression.type", word, "acks", acks, "enable.idempotence", idempotent,
                    "batch.size", "2000", "linger.ms", "1")) {
                List<Future<RecordMetadata>> sent = new ArrayList<>();
                for (int i = 0; i < 500; i++) {
                    ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(
                        topic, 0, System.currentTimeMillis(), i % 3 == 0 ? null : bytes("k" + i),
                        i % 5 == 0 ? null : bytes("v" + i + "x".repeat(i % 50)));
                    record.headers().add("n", bytes("" + i)).add("n", null);
                    sent.add(producer.send(record));
                }
                producer.flush();
                for (Future<RecordMetadata> each : sent) {
                    offsets.add(get(each).offset());
                }
            }
        }
        found.put("offsets", offsets);
    }

    /** A consumer of the rebalance scenarios. */
    private final class Member implements ConsumerRebalanceListener {
        final KafkaConsumer<byte[], byte[]> consumer;
        final List<Integer> assigned = new ArrayList<>();
        final List<Integer> revoked = new ArrayList<>();
        private final Map<String, List<String>> records;
        int lost;

        Member(Map<String, List<String>> got, String... pairs) {
            consumer = consumer(pairs);
            consumer.subscribe(List.of(topic), this);
            records = got;
        }

        void poll() {
            for (ConsumerRecord<byte[], byte[]> each : consumer.poll(Duration.ofMillis(20))) {
                records.computeIfAbsent("" + each.partition(), p -> new ArrayList<>())
                    .add(text(each.value()));
                consumer.commitSync(Map.of(
                    place(each.partition()), new OffsetAndMetadata(each.offset() + 1)));
            }
        }

        Set<Integer> now() {
            return consumer.assignment().stream().map(TopicPartition::partition)
                .collect(Collectors.toCollection(TreeSet::new));
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> places) {
            places.forEach(each -> assigned.add(each.partition()));
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> places) {
            places.forEach(each -> revoked.add(each.partition()));
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> places) {
            lost += places.size();
        }
    }

    private void settle(List<Member> members, int each) {
        until("each has " + each, () -> {
            members.forEach(Member::poll);
            return members.stream().allMatch(m -> m.now().size() == each);
        });
        for (int i = 0; i < 10; i++) {
            members.forEach(Member::poll);
        }
        if (members.stream().anyMatch(m -> m.now().size() != each)) {
            throw new IllegalStateException("not settled");
        }
    }

    private int exchange(List<Member> members, Map<String, List<String>> got, int from)
            throws Exception {
        for (int partition = 0; partition < 6; partition++) {
            send(partition, from, from + 10);
        }
        until("all records", () -> {
            members.forEach(Member::poll);
            return got.values().stream().mapToInt(List::size).sum() >= 6 * (from + 10);
        });
        return from + 10;
    }

    /** Three members with assignor `word`, read_committed: two join, one leaves. */
    private void rebalance() throws Exception {
        try (Admin admin = admin()) {
            create(admin, 6);
        }
        Map<String, List<String>> got = new TreeMap<>();
        String[] config = {"group.id", topic, "partition.assignment.strategy", word,
            "isolation.level", "read_committed"};
        List<Member> members = new ArrayList<>(List.of(new Member(got, config)));
        Member first = members.get(0);
        settle(members, 6);
        int sent = exchange(members, got, 0);
        members.add(new Member(got, config));
        members.add(new Member(got, config));
        settle(members, 2);
        sent = exchange(members, got, sent);
        found.put("first assigned", new ArrayList<>(first.assigned));
        found.put("first revoked", new ArrayList<>(first.revoked));
        members.remove(1).consumer.close();
        settle(members, 3);
        sent = exchange(members, got, sent);
        found.put("lost", members.stream().mapToInt(m -> m.lost).sum());
        members.forEach(m -> m.consumer.close());
        found.put("sent", sent);
        found.put("got", got);
    }

    /** One static member restarts; then it is removed by the administrator. */
    private void staticMembers() throws Exception {
        Map<String, List<String>> got = new TreeMap<>();
        try (Admin admin = admin()) {
            create(admin, 4);
            Member one = new Member(got, "group.id", topic, "group.instance.id", "one");
            Member two = new Member(got, "group.id", topic, "group.instance.id", "two");
            settle(List.of(one, two), 2);
            Set<Integer> before = two.now();
            int generation = one.consumer.groupMetadata().generationId();
            int changes = one.assigned.size();
            two.consumer.close();
            two = new Member(got, "group.id", topic, "group.instance.id", "two");
            settle(List.of(one, two), 2);
            found.put("same partitions", two.now().equals(before));
            found.put("same generation", one.consumer.groupMetadata().generationId() == generation);
            found.put("undisturbed", one.assigned.size() == changes);
            two.consumer.close();
            List<MemberToRemove> gone = List.of(new MemberToRemove("two"));
            get(admin.removeMembersFromConsumerGroup(topic,
                new RemoveMembersFromConsumerGroupOptions(gone)).all());
            settle(List.of(one), 4);
            found.put("alone", one.now());
            one.consumer.close();
        }
    }

    /** Offsets by every spec, and a consumer that waits for a record. */
    private void positions() throws Exception {
        try (Admin admin = admin(); KafkaProducer<byte[], byte[]> producer = producer();
                KafkaConsumer<byte[], byte[]> reader = consumer("fetch.max.wait.ms", "20000")) {
            create(admin, 1);
            long now = System.currentTimeMillis() - 600_000;
            for (int i = 0; i < 20; i++) {
                long time = now + (i == 7 ? 99_000 : 1000 * i);
                get(producer.send(new ProducerRecord<>(topic, 0, time, null, bytes("" + i))));
            }
            Map<String, OffsetSpec> specs = new LinkedHashMap<>();
            specs.put("earliest", OffsetSpec.earliest());
            specs.put("latest", OffsetSpec.latest());
            specs.put("max timestamp", OffsetSpec.maxTimestamp());
            specs.put("earliest local", OffsetSpec.earliestLocal());
            specs.put("by time", OffsetSpec.forTimestamp(now + 3500));
            specs.put("too late", OffsetSpec.forTimestamp(now + 100_000));
            get(admin.deleteRecords(Map.of(place(0), RecordsToDelete.beforeOffset(2))).all());
            for (Map.Entry<String, OffsetSpec> each : specs.entrySet()) {
                found.put(each.getKey(), get(admin.listOffsets(Map.of(place(0), each.getValue()))
                    .partitionResult(place(0))).offset());
            }
            reader.assign(List.of(place(0)));
            found.put("by time, consumer",
                reader.offsetsForTimes(Map.of(place(0), now + 3500)).get(place(0)).offset());
            reader.seek(place(0), 20);
            found.put("empty", reader.poll(Duration.ofMillis(1000)).count());
            long begun = System.nanoTime();
            get(producer.send(new ProducerRecord<>(topic, 0, null, bytes("late"))));
            List<String> values = new ArrayList<>();
            until("the record", () -> {
                reader.poll(Duration.ofMillis(5000)).forEach(r -> values.add(text(r.value())));
                return !values.isEmpty();
            });
            found.put("late", values);
            found.put("late ms", (System.nanoTime() - begun) / 1_000_000);
            reader.close(CloseOptions.timeout(Duration.ZERO)); // not at the end of its last fetch
        }
    }

    /** Batches of 10 kB, four partitions with many, and consumers with limits near to that. */
    private void limits() throws Exception {
        try (Admin admin = admin(); KafkaProducer<byte[], byte[]> producer = producer()) {
            create(admin, 4);
            for (int i = 0; i < 40; i++) {
                get(producer.send(new ProducerRecord<>(topic, i % 4, null, bytes("x".repeat(10000)))));
            }
            for (String limit : List.of(
                    "max.partition.fetch.bytes=5000", "max.partition.fetch.bytes=25000",
                    "fetch.max.bytes=15000", "fetch.max.bytes=45000")) {
                String[] pair = limit.split("=");
                Map<Integer, Long> next = new TreeMap<>();
                try (KafkaConsumer<byte[], byte[]> reader = consumer(pair[0], pair[1])) {
                    reader.assign(List.of(place(0), place(1), place(2), place(3)));
                    until("all records", () -> {
                        for (ConsumerRecord<byte[], byte[]> r : reader.poll(Duration.ofMillis(100))) {
                            if (next.getOrDefault(r.partition(), 0L) != r.offset()) {
                                throw new IllegalStateException("a hole before " + r.offset());
                            }
                            next.put(r.partition(), r.offset() + 1);
                        }
                        return next.values().stream().mapToLong(n -> n).sum() == 40;
                    });
                }
                found.put(limit, next.values());
            }
        }
    }

    /** Topics: created, described by name and by id, grown, on disk, elected, deleted by id. */
    private void topics() throws Exception {
        try (Admin admin = admin()) {
            Map<Integer, List<Integer>> assignment = Map.of(0, List.of(1), 1, List.of(1));
            NewTopic asked = new NewTopic(topic, assignment)
                .configs(Map.of("retention.ms", "7777777"));
            var made = admin.createTopics(List.of(asked));
            get(made.all());
            Uuid id = get(made.topicId(topic));
            found.put("partitions", get(made.numPartitions(topic)));
            found.put("replication", get(made.replicationFactor(topic)));
            found.put("retention", get(made.config(topic)).get("retention.ms").value());
            get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all());
            until("the third partition", () -> partitions(admin) == 3);
            TopicDescription byName = get(admin.describeTopics(List.of(topic)).allTopicNames())
                .get(topic);
            TopicDescription byId = get(admin.describeTopics(
                TopicCollection.ofTopicIds(List.of(id))).allTopicIds()).get(id);
            found.put("same id", byName.topicId().equals(id));
            found.put("by id", byId.name() + " " + byId.partitions().size());
            found.put("leaders", byName.partitions().stream().map(TopicPartitionInfo::leader)
                .map(node -> node.id()).collect(Collectors.toList()));
            found.put("listed", get(admin.listTopics().names()).contains(topic));
            send(1, 0, 100);
            LogDirDescription folder = get(admin.describeLogDirs(List.of(1)).allDescriptions())
                .get(1).values().iterator().next();
            found.put("size", folder.replicaInfos().get(place(1)).size());
            found.put("usable", folder.usableBytes().getAsLong() > 0);
            found.put("elected", get(admin.electLeaders(
                ElectionType.PREFERRED, Set.of(place(0))).partitions()).get(place(0))
                .map(e -> e.getClass().getSimpleName()).orElse(""));
            found.put("cluster", get(admin.describeCluster().nodes()).size());
            found.put("controller", get(admin.describeCluster().controller()).id());
            get(admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
            found.put("unknown name", error(admin.describeTopics(List.of(topic)).allTopicNames()));
            found.put("unknown id", error(admin.describeTopics(
                TopicCollection.ofTopicIds(List.of(id))).allTopicIds()));
        }
    }

    private void configs() throws Exception {
        try (Admin admin = admin()) {
            create(admin, 1);
            ConfigResource mine = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            ConfigEntry entry = new ConfigEntry("cleanup.policy", "compact");
            get(admin.incrementalAlterConfigs(Map.of(mine,
                List.of(new AlterConfigOp(entry, AlterConfigOp.OpType.APPEND)))).all());
            Map<String, String> changed = new TreeMap<>();
            get(admin.describeConfigs(List.of(mine)).all()).get(mine).entries().stream()
                .filter(each -> each.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG)
                .forEach(each -> changed.put(each.name(), each.value()));
            found.put("changed", changed);
            found.put("bad", error(admin.incrementalAlterConfigs(Map.of(mine, List.of(
                new AlterConfigOp(new ConfigEntry("retention.ms", "x"), AlterConfigOp.OpType.SET))))
                .all()));
            Collection<ConfigResource> resources = get(admin.listConfigResources(
                Set.of(ConfigResource.Type.TOPIC, ConfigResource.Type.BROKER),
                new ListConfigResourcesOptions()).all());
            found.put("resources", resources.contains(mine)
                && resources.contains(new ConfigResource(ConfigResource.Type.BROKER, "1")));
        }
    }

    private Map<String, Long> offsets(Admin admin) throws Exception {
        Map<String, Long> made = new TreeMap<>();
        get(admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata()).forEach(
            (at, offset) -> made.put(at.topic() + "-" + at.partition(), offset.offset()));
        return made;
    }

    private boolean listed(Admin admin, ListGroupsOptions options) throws Exception {
        for (GroupListing each : get(admin.listGroups(options).all())) {
            if (each.groupId().equals(topic)) {
                return true;
            }
        }
        return false;
    }

    /** A group's offsets and states; `word` is a topic that it does not read. */
    private void groups() throws Exception {
        try (Admin admin = admin()) {
            create(admin, 1);
            TopicPartition other = new TopicPartition(word, 0);
            get(admin.createTopics(List.of(new NewTopic(word, 1, (short) 1))).all());
            Map<TopicPartition, OffsetAndMetadata> places = Map.of(
                place(0), new OffsetAndMetadata(5), other, new OffsetAndMetadata(6));
            get(admin.alterConsumerGroupOffsets(topic, places).all());
            found.put("set", offsets(admin));
            Member member = new Member(new HashMap<>(), "group.id", topic, "client.id", "me");
            settle(List.of(member), 1);
            var told = get(admin.describeConsumerGroups(List.of(topic)).all()).get(topic);
            found.put("state", told.groupState().toString());
            found.put("type", told.type().toString());
            found.put("assignor", told.partitionAssignor());
            found.put("client", told.members().iterator().next().clientId());
            found.put("assigned", told.members().iterator().next().assignment().topicPartitions()
                .stream().map(TopicPartition::toString).collect(Collectors.toList()));
            found.put("classic", get(admin.describeClassicGroups(List.of(topic)).all()).get(topic)
                .state().toString());
            found.put("stable", listed(admin,
                new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE))));
            found.put("empty", listed(admin,
                new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY))));
            found.put("of type classic", listed(admin,
                new ListGroupsOptions().withTypes(Set.of(GroupType.CLASSIC))));
            found.put("of type consumer", listed(admin,
                new ListGroupsOptions().withTypes(Set.of(GroupType.CONSUMER))));
            found.put("alter while alive", error(
                admin.alterConsumerGroupOffsets(topic, places).all()));
            var deleted = admin.deleteConsumerGroupOffsets(topic, Set.of(place(0), other));
            found.put("delete subscribed", error(deleted.partitionResult(place(0))));
            found.put("delete other", error(deleted.partitionResult(other)));
            found.put("left", offsets(admin));
            found.put("delete while alive",
                error(admin.deleteConsumerGroups(List.of(topic)).all()));
            member.consumer.close();
            found.put("delete", error(admin.deleteConsumerGroups(List.of(topic)).all()));
            found.put("delete again", error(admin.deleteConsumerGroups(List.of(topic)).all()));
            found.put("described", error(admin.describeConsumerGroups(List.of(topic)).all()));
        }
    }

    /** What the broker knows of an idempotent producer. */
    private void producers() throws Exception {
        try (Admin admin = admin(); KafkaProducer<byte[], byte[]> producer = producer()) {
            create(admin, 1);
            for (int i = 0; i < 7; i++) {
                get(producer.send(new ProducerRecord<>(topic, 0, null, bytes("" + i))));
            }
            PartitionProducerState state =
                get(admin.describeProducers(List.of(place(0))).partitionResult(place(0)));
            ProducerState mine = state.activeProducers().get(0);
            found.put("count", state.activeProducers().size());
            found.put("epoch", mine.producerEpoch());
            found.put("sequence", mine.lastSequence());
            found.put("age", System.currentTimeMillis() - mine.lastTimestamp());
            found.put("transaction", mine.currentTransactionStartOffset().isPresent());
        }
    }

    private void errors() throws Exception {
        try (Admin admin = admin()) {
            for (String name : List.of("a b", ".", "", "x".repeat(250))) {
                found.put("name " + name.length(), error(
                    admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all()));
            }
            NewTopic small = new NewTopic(topic, 1, (short) 1)
                .configs(Map.of("max.message.bytes", "10000"));
            get(admin.createTopics(List.of(small)).all());
            found.put("again", error(admin.createTopics(List.of(small)).all()));
            found.put("replicas", error(
                admin.createTopics(List.of(new NewTopic(word, 1, (short) 2))).all()));
            found.put("records", error(admin.deleteRecords(
                Map.of(place(0), RecordsToDelete.beforeOffset(5))).all()));
            try (KafkaProducer<byte[], byte[]> producer = producer("max.block.ms", "1000")) {
                found.put("too large", error(
                    producer.send(new ProducerRecord<>(topic, 0, null, new byte[20_000]))));
                found.put("fits", error(
                    producer.send(new ProducerRecord<>(topic, 0, null, new byte[5000]))));
                found.put("unknown", error(
                    producer.send(new ProducerRecord<>(word, 0, null, new byte[1]))));
            }
            get(admin.deleteTopics(List.of(topic)).all());
            found.put("deleted", error(admin.deleteTopics(List.of(topic)).all()));
        }
    }

    private interface Step {
        void run() throws Exception;
    }

    private static String failure(Step step) {
        try {
            step.run();
            return "";
        } catch (Exception e) {
            return e.getClass().getSimpleName();
        }
    }

    /** What is not there: transactions and the newer group protocol fail at once and for good. */
    private void unsupported() {
        long begun = System.nanoTime();
        try (KafkaProducer<byte[], byte[]> producer = producer(
                "transactional.id", topic, "max.block.ms", "20000")) {
            found.put("transactions", failure(producer::initTransactions));
        }
        try (KafkaConsumer<byte[], byte[]> reader = new KafkaConsumer<>(
                properties("group.id", topic, "group.protocol", "consumer"),
                new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            reader.subscribe(List.of(topic));
            found.put("group protocol", failure(() -> {
                for (int i = 0; i < 20; i++) {
                    reader.poll(Duration.ofMillis(500));
                }
            }));
        }
        found.put("seconds", (System.nanoTime() - begun) / 1_000_000_000);
    }
}
