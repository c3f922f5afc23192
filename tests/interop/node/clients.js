// SPDX-License-Identifier: Apache-2.0
//
// kafkajs, scenario by scenario: node clients.js SCENARIO '{"brokers": [...], "topic": ...}'.
// Each prints what it found as one line of JSON; the Python side judges.
'use strict';

const fs = require('fs');
const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } =
  require('kafkajs');

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy');

const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
};

const asked = JSON.parse(process.argv[3]);
const topic = asked.topic;
const group = `${topic}-group`;

function connect(more) {
  return new Kafka({
    clientId: 'kafkajs',
    brokers: asked.brokers,
    logLevel: logLevel.NOTHING,
    retry: { retries: 5, initialRetryTime: 50, maxRetryTime: 500 },
    ...more,
  });
}

const kafka = connect();

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function until(what, probe) {
  const end = Date.now() + 30000;
  while (!(await probe())) {
    if (Date.now() > end) {
      throw new Error(`not in time: ${what}`);
    }
    await sleep(20);
  }
}

async function withClient(made, use) {
  await made.connect();
  try {
    return await use(made);
  } finally {
    await made.disconnect();
  }
}

async function withAdmin(use) {
  return withClient(kafka.admin(), use);
}

async function create(numPartitions, configEntries) {
  await withAdmin((admin) => admin.createTopics({
    topics: [{ topic, numPartitions, configEntries }],
    waitForLeaders: true,
  }));
}

async function failure(step) {
  try {
    await step();
    return '';
  } catch (err) {
    const first = (err.errors || [err])[0];
    return (first.cause && first.cause.type) || first.type || first.name;
  }
}

function text(buffer) {
  return buffer === null || buffer === undefined ? null : buffer.toString();
}

function consumer(more) {
  return kafka.consumer({
    groupId: group,
    sessionTimeout: 6000,
    heartbeatInterval: 200,
    maxWaitTimeInMs: 100,
    metadataMaxAge: 1000,
    ...more,
  });
}

// A member of the group: what it has, what it got.
async function join(got, more) {
  const reader = consumer(more);
  const member = { reader, assigned: [], joins: 0 };
  reader.on(reader.events.GROUP_JOIN, (event) => {
    member.assigned = event.payload.memberAssignment[topic] || [];
    member.joins += 1;
  });
  await reader.connect();
  await reader.subscribe({ topics: [topic], fromBeginning: true });
  await reader.run({
    eachMessage: async ({ partition, message }) => {
      got.push({
        partition,
        offset: Number(message.offset),
        key: text(message.key),
        value: text(message.value),
        timestamp: Number(message.timestamp),
        headers: Object.entries(message.headers || {}).map(([key, value]) => [key, text(value)]),
      });
    },
  });
  return member;
}

function settled(members, partitions, each) {
  const all = members.flatMap((member) => member.assigned).sort();
  return members.every((member) => member.assigned.length === each)
    && all.join() === [...Array(partitions).keys()].join();
}

async function send(partition, values, more) {
  await withClient(kafka.producer(), (to) => to.send({
    topic,
    messages: values.map((value) => ({ partition, value })),
    ...more,
  }));
}

const scenarios = {
  // One codec with every acks; then everything read back.
  async produce() {
    await create(1);
    let sent = 0;
    await withClient(kafka.producer(), async (to) => {
      for (const acks of [-1, 1, 0]) {
        for (let start = 0; start < 200; start += 50) {
          const messages = [...Array(50).keys()].map((i) => ({
            key: i % 3 ? `k${start + i}` : null,
            value: i % 5 ? `v${start + i} ${'x'.repeat(100)}` : null,
            headers: { number: `${start + i}`, empty: '' },
            timestamp: `${asked.now + start + i}`,
          }));
          await to.send({ topic, acks, compression: CODECS[asked.codec], messages });
          sent += 50;
        }
      }
    });
    const got = [];
    const member = await join(got);
    await until('all records', () => got.length >= sent);
    await member.reader.disconnect();
    return { sent, got };
  },

  async idempotent() {
    await create(1);
    await withClient(kafka.producer({ idempotent: true, maxInFlightRequests: 1 }), async (to) => {
      for (let start = 0; start < 300; start += 10) {
        await to.send({
          topic,
          messages: [...Array(10).keys()].map((i) => ({ value: `${start + i}` })),
        });
      }
    });
    return {};
  },

  // A record that comes while a fetch of ten seconds waits.
  async longPoll() {
    await create(1);
    const got = [];
    const member = await join(got, { maxWaitTimeInMs: 10000 });
    await until('member', () => member.joins === 1);
    await sleep(1000);
    const waits = [];
    for (const value of ['one', 'two']) {
      const begun = Date.now();
      await send(0, [value]);
      await until('record', () => got.length && got[got.length - 1].value === value);
      waits.push(Date.now() - begun);
    }
    process.stdout.write(JSON.stringify({ got: got.map((r) => r.value), waits }));
    process.exit(0); // disconnecting waits for the fetch
  },

  async rebalance() {
    await create(6);
    const got = [];
    let sent = 0;
    const exchange = async () => {
      for (let partition = 0; partition < 6; partition += 1) {
        const values = [...Array(10).keys()].map((i) => `${partition}-${sent + i}`);
        await send(partition, values);
      }
      sent += 10;
      await until('all records', () => got.length >= 6 * sent);
      await sleep(100); // the last commit
    };
    const members = [await join(got)];
    await until('one', () => settled(members, 6, 6));
    await exchange();
    members.push(await join(got), await join(got));
    await until('three', () => settled(members, 6, 2));
    await exchange();
    await members.pop().reader.disconnect();
    await until('two', () => settled(members, 6, 3));
    await exchange();
    await Promise.all(members.map((member) => member.reader.disconnect()));
    return { sent, got };
  },

  // A consumer that stops half way, and another that goes on from its commit.
  async resume() {
    await create(1);
    await send(0, [...Array(100).keys()].map((i) => `${i}`));
    await withAdmin((admin) =>
      admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '40' }] }));
    const got = [];
    let member = await join(got);
    await until('records', () => got.length >= 60);
    await member.reader.disconnect();
    const first = got[0].offset;
    await send(0, ['more']);
    member = await join(got);
    await until('record', () => got.length >= 61);
    await member.reader.disconnect();
    return { first, values: got.map((r) => r.value) };
  },

  async topics() {
    return withAdmin(async (admin) => {
      const found = {};
      found.created = await admin.createTopics({
        topics: [{
          topic,
          numPartitions: 2,
          configEntries: [{ name: 'retention.ms', value: '7777777' }],
        }],
      });
      found.again = await admin.createTopics({ topics: [{ topic }] });
      found.bad = await failure(() => admin.createTopics({ topics: [{ topic: 'a b' }] }));
      found.replicas = await failure(() => admin.createTopics({
        topics: [{ topic: `${topic}-x`, replicationFactor: 2 }],
      }));
      await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
      let metadata;
      await until('the third partition', async () => {
        metadata = await admin.fetchTopicMetadata({ topics: [topic] });
        return metadata.topics[0].partitions.length === 3;
      });
      found.partitions = metadata.topics[0].partitions.map((p) => [p.partitionId, p.leader]).sort();
      found.listed = (await admin.listTopics()).includes(topic);
      const cluster = await admin.describeCluster();
      found.cluster = [cluster.brokers.length, cluster.controller];
      const resource = { type: ConfigResourceTypes.TOPIC, name: topic };
      const names = ['retention.ms', 'cleanup.policy'];
      const read = async () => {
        const answer = await admin.describeConfigs({
          resources: [{ ...resource, configNames: names }],
        });
        return answer.resources[0].configEntries.map((e) => [e.configName, e.configValue]).sort();
      };
      found.before = await read();
      await admin.alterConfigs({
        resources: [{ ...resource, configEntries: [{ name: 'cleanup.policy', value: 'compact' }] }],
      });
      await until('the change', async () => (await read()).join() !== found.before.join());
      found.after = await read();
      await admin.deleteTopics({ topics: [topic] });
      await until('deletion', async () => !(await admin.listTopics()).includes(topic));
      return found;
    });
  },

  async offsets() {
    await create(1);
    await withClient(kafka.producer(), (to) => to.send({
      topic,
      messages: [...Array(50).keys()].map((i) => ({
        value: `${i}`,
        timestamp: `${asked.now + 1000 * i}`,
      })),
    }));
    return withAdmin(async (admin) => {
      await admin.fetchTopicOffsets(topic); // it must know the topic's leaders first
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '10' }] });
      const [all] = await admin.fetchTopicOffsets(topic);
      const [timed] = await admin.fetchTopicOffsetsByTimestamp(topic, asked.now + 15001);
      const [late] = await admin.fetchTopicOffsetsByTimestamp(topic, asked.now + 10000000);
      return { all, timed, late };
    });
  },

  async groups() {
    await create(1);
    await send(0, ['a', 'b', 'c']);
    return withAdmin(async (admin) => {
      const found = {};
      const got = [];
      const member = await join(got);
      await until('records', () => got.length >= 3);
      const told = await admin.describeGroups([group]);
      found.state = told.groups[0].state;
      found.members = told.groups[0].members.map((m) => m.clientId);
      found.listed = (await admin.listGroups()).groups.filter((g) => g.groupId === group);
      found.deleteAlive = await failure(() => admin.deleteGroups([group]));
      await member.reader.disconnect();
      const fetch = async () => (await admin.fetchOffsets({ groupId: group, topics: [topic] }))[0]
        .partitions.map((p) => p.offset);
      found.committed = await fetch();
      await admin.resetOffsets({ groupId: group, topic, earliest: true });
      found.reset = await fetch();
      found.deleted = (await admin.deleteGroups([group]))[0].errorCode;
      found.after = (await admin.describeGroups([group])).groups[0].state;
      return found;
    });
  },

  async errors() {
    await create(1, [{ name: 'max.message.bytes', value: '10000' }]);
    const found = {};
    await withClient(kafka.producer({ allowAutoTopicCreation: false }), async (to) => {
      const one = (name, size) => failure(() => to.send({
        topic: name,
        messages: [{ value: 'x'.repeat(size) }],
      }));
      found.tooLarge = await one(topic, 20000);
      found.fits = await one(topic, 5000);
      found.unknown = await one(`${topic}-unknown`, 1);
      await withAdmin((admin) => admin.deleteTopics({ topics: [topic] }));
      found.deleted = await one(topic, 1);
    });
    return found;
  },

  // The broker makes the topic when it is first used.
  async automatic() {
    await withClient(kafka.producer(), (to) => to.send({ topic, messages: [{ value: 'first' }] }));
    const got = [];
    const member = await join(got);
    await until('record', () => got.length >= 1);
    await member.reader.disconnect();
    const bad = await withClient(kafka.producer(), (to) =>
      failure(() => to.send({ topic: 'a b', messages: [{ value: 'x' }] })));
    return { got: got.map((r) => r.value), bad };
  },

  async tls() {
    const ssl = { ca: [fs.readFileSync(asked.ca)] };
    if (asked.cert) {
      ssl.cert = fs.readFileSync(asked.cert);
      ssl.key = fs.readFileSync(asked.key);
    }
    return withClient(connect({ ssl }).producer(), async (to) => {
      const [told] = await to.send({ topic, messages: [{ value: 'over TLS' }] });
      return { offset: told.baseOffset };
    });
  },

  async transactions() {
    const begun = Date.now();
    const to = connect({ retry: { retries: 100 } }).producer({ transactionalId: topic });
    const error = await failure(async () => {
      await to.connect();
      await to.transaction();
    });
    process.stdout.write(JSON.stringify({ error, ms: Date.now() - begun }));
    process.exit(0);
  },
};

scenarios[process.argv[2]]().then(
  (found) => process.stdout.write(JSON.stringify(found)),
  (err) => {
    process.stderr.write(`${err.stack}\n`);
    process.exit(1);
  },
);
