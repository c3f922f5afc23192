// SPDX-License-Identifier: Apache-2.0

// franz-go, scenario by scenario: `clients SCENARIO ADDRESS TOPIC [WORD]`. Each prints what it
// found as one line of JSON; the Python side judges. Panics end the program.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type found map[string]any

var (
	address, topic, word string
	ctx                  context.Context
)

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func client(opts ...kgo.Opt) *kgo.Client {
	return must(kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(address),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.MetadataMaxAge(time.Second),
	}, opts...)...))
}

// The name that Kafka gives an error.
func name(err error) string {
	if err == nil {
		return ""
	}
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return err.Error()
}

func until(what string, probe func() bool) {
	for end := time.Now().Add(30 * time.Second); !probe(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			panic("not in time: " + what)
		}
	}
}

func create(admin *kadm.Client, partitions int32) {
	must(admin.CreateTopic(ctx, partitions, 1, nil, topic))
}

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

type record struct {
	Partition int32       `json:"partition"`
	Offset    int64       `json:"offset"`
	Key       *string     `json:"key"`
	Value     *string     `json:"value"`
	Timestamp int64       `json:"timestamp"`
	Headers   [][2]string `json:"headers"`
}

func text(bytes []byte) *string {
	if bytes == nil {
		return nil
	}
	made := string(bytes)
	return &made
}

func seen(r *kgo.Record) record {
	made := record{r.Partition, r.Offset, text(r.Key), text(r.Value), r.Timestamp.UnixMilli(), nil}
	for _, header := range r.Headers {
		made.Headers = append(made.Headers, [2]string{header.Key, string(header.Value)})
	}
	return made
}

// The next so many records.
func next(reader *kgo.Client, count int) []record {
	var got []record
	for len(got) < count {
		fetches := reader.PollFetches(ctx)
		check(fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, seen(r)) })
	}
	return got
}

// One codec with every acks (the first, all, is idempotent), then everything read back.
func produce() found {
	start := must(strconv.ParseInt(os.Args[5], 10, 64))
	reader := client(kgo.ConsumeTopics(topic))
	defer reader.Close()
	create(kadm.NewClient(reader), 1)
	for _, acks := range []kgo.Acks{kgo.AllISRAcks(), kgo.LeaderAck(), kgo.NoAck()} {
		opts := []kgo.Opt{
			kgo.RequiredAcks(acks),
			kgo.ProducerBatchCompression(codecs[word]),
			kgo.DefaultProduceTopic(topic),
			kgo.ProducerBatchMaxBytes(4096),
			kgo.ProducerLinger(50 * time.Millisecond), // a batch that does not shrink is not compressed
		}
		if acks != kgo.AllISRAcks() {
			opts = append(opts, kgo.DisableIdempotentWrite())
		}
		to := client(opts...)
		for i := 0; i < 200; i++ {
			r := &kgo.Record{
				Timestamp: time.UnixMilli(start + int64(i)),
				Headers:   []kgo.RecordHeader{{Key: "n", Value: []byte(fmt.Sprint(i))}, {Key: "n"}},
			}
			if i%3 > 0 {
				r.Key = []byte(fmt.Sprint("k", i))
			}
			if i%5 > 0 {
				r.Value = []byte(fmt.Sprint("v", i, strings.Repeat("x", 100)))
			}
			to.Produce(ctx, r, func(_ *kgo.Record, err error) { check(err) })
		}
		check(to.Flush(ctx))
		to.Close()
	}
	return found{"got": next(reader, 600)}
}

func longPoll() found {
	reader := client(kgo.ConsumeTopics(topic), kgo.FetchMaxWait(10*time.Second))
	create(kadm.NewClient(reader), 1)
	to := client(kgo.DefaultProduceTopic(topic))
	defer to.Close()
	quiet, cancel := context.WithTimeout(ctx, time.Second)
	empty := reader.PollFetches(quiet).NumRecords()
	cancel()
	var waits []int64
	var values []string
	for _, value := range []string{"one", "two"} {
		begun := time.Now()
		check(to.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr())
		values = append(values, *next(reader, 1)[0].Value)
		waits = append(waits, time.Since(begun).Milliseconds())
	}
	return found{"empty": empty, "values": values, "waits": waits}
}

// A member of a group, polled in a goroutine of its own.
type member struct {
	reader  *kgo.Client
	mutex   sync.Mutex
	mine    map[int32]bool
	revoked int
	joins   int
	done    sync.WaitGroup
}

type journal struct {
	mutex sync.Mutex
	got   []record
}

func (j *journal) count() int {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return len(j.got)
}

type onChange = func(context.Context, *kgo.Client, map[string][]int32)

func join(j *journal, opts ...kgo.Opt) *member {
	m := &member{mine: map[int32]bool{}}
	update := func(joins, revoked int, has bool) onChange {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			m.mutex.Lock()
			defer m.mutex.Unlock()
			m.joins += joins
			m.revoked += revoked * len(changed[topic])
			for _, partition := range changed[topic] {
				if has {
					m.mine[partition] = true
				} else {
					delete(m.mine, partition)
				}
			}
		}
	}
	m.reader = client(append([]kgo.Opt{
		kgo.ConsumerGroup(topic + "-group"),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(6 * time.Second),
		kgo.HeartbeatInterval(200 * time.Millisecond),
		kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(update(1, 0, true)),
		kgo.OnPartitionsRevoked(update(0, 1, false)),
		kgo.OnPartitionsLost(update(0, 0, false)),
	}, opts...)...)
	m.done.Add(1)
	go func() {
		defer m.done.Done()
		for {
			fetches := m.reader.PollFetches(ctx)
			if fetches.IsClientClosed() {
				return
			}
			j.mutex.Lock()
			fetches.EachRecord(func(r *kgo.Record) { j.got = append(j.got, seen(r)) })
			j.mutex.Unlock()
			check(m.reader.CommitRecords(ctx, fetches.Records()...))
			m.reader.AllowRebalance()
		}
	}()
	return m
}

func (m *member) size() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.mine)
}

func (m *member) leave() {
	m.reader.CloseAllowingRebalance()
	m.done.Wait()
}

func settle(each int, members ...*member) {
	settled := func() bool {
		for _, m := range members {
			if m.size() != each {
				return false
			}
		}
		return true
	}
	until(fmt.Sprint("each has ", each), func() bool {
		if !settled() {
			return false
		}
		time.Sleep(300 * time.Millisecond)
		return settled()
	})
}

func exchange(j *journal, sent int) int {
	to := client(kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer to.Close()
	for partition := int32(0); partition < 6; partition++ {
		for i := sent; i < sent+10; i++ {
			r := kgo.StringRecord(fmt.Sprint(partition, "-", i))
			r.Partition = partition
			check(to.ProduceSync(ctx, r).FirstErr())
		}
	}
	until("all records", func() bool { return j.count() >= 6*(sent+10) })
	return sent + 10
}

func rebalance() found {
	balancers := map[string]kgo.GroupBalancer{
		"range":              kgo.RangeBalancer(),
		"cooperative-sticky": kgo.CooperativeStickyBalancer(),
	}
	admin := kadm.NewClient(client())
	defer admin.Close()
	create(admin, 6)
	j := &journal{}
	balancer := kgo.Balancers(balancers[word])
	one := join(j, balancer)
	settle(6, one)
	sent := exchange(j, 0)
	two, three := join(j, balancer), join(j, balancer)
	settle(2, one, two, three)
	sent = exchange(j, sent)
	revoked := one.revoked
	two.leave()
	settle(3, one, three)
	sent = exchange(j, sent)
	one.leave()
	three.leave()
	return found{"sent": sent, "got": j.got, "revoked": revoked}
}

func static() found {
	admin := kadm.NewClient(client())
	defer admin.Close()
	create(admin, 4)
	j := &journal{}
	one, two := join(j, kgo.InstanceID("one")), join(j, kgo.InstanceID("two"))
	settle(2, one, two)
	joins := one.joins
	two.leave()
	two = join(j, kgo.InstanceID("two"))
	settle(2, one, two)
	same := one.joins == joins
	described := must(admin.DescribeGroups(ctx, topic+"-group"))[topic+"-group"]
	var names []string
	for _, m := range described.Members {
		names = append(names, *m.InstanceID)
	}
	sort.Strings(names)
	one.leave()
	two.leave()
	removed := must(admin.LeaveGroup(ctx, kadm.LeaveGroup(topic+"-group").InstanceIDs("one", "two")))
	return found{"undisturbed": same, "names": names, "removed": name(removed.Error())}
}

func resume() found {
	admin := kadm.NewClient(client())
	defer admin.Close()
	create(admin, 1)
	to := client(kgo.DefaultProduceTopic(topic))
	defer to.Close()
	for i := 0; i < 10; i++ {
		check(to.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint(i))).FirstErr())
	}
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, 4, -1)
	check(admin.CommitAllOffsets(ctx, topic+"-group", offsets))
	j := &journal{}
	m := join(j)
	until("records", func() bool { return j.count() >= 6 })
	m.leave()
	committed := must(admin.FetchOffsets(ctx, topic+"-group"))
	at, _ := committed.Lookup(topic, 0)
	return found{"got": j.got, "committed": at.At}
}

func admin() found {
	cl := kadm.NewClient(client())
	defer cl.Close()
	out := found{}
	retention := "7777777"
	made := must(cl.CreateTopic(ctx, 2, -1, map[string]*string{"retention.ms": &retention}, topic))
	out["created"] = []any{made.NumPartitions, made.ReplicationFactor}
	_, err := cl.CreateTopic(ctx, 2, 1, nil, topic)
	out["again"] = name(err)
	_, err = cl.CreateTopic(ctx, 1, 1, nil, "a b")
	out["bad name"] = name(err)
	_, err = cl.CreateTopic(ctx, 1, 3, nil, topic+"-x")
	out["replicas"] = name(err)
	out["grown"] = name(must(cl.UpdatePartitions(ctx, 3, topic)).Error())
	out["shrunk"] = name(must(cl.UpdatePartitions(ctx, 1, topic)).Error())
	var details kadm.TopicDetail
	until("the third partition", func() bool {
		details = must(cl.ListTopics(ctx, topic))[topic]
		return len(details.Partitions) == 3
	})
	out["same id"] = details.ID == made.ID

	segment := "999999"
	change := kadm.AlterConfig{Op: kadm.SetConfig, Name: "segment.ms", Value: &segment}
	altered := must(cl.AlterTopicConfigs(ctx, []kadm.AlterConfig{change}, topic))
	out["altered"] = name(altered[0].Err)
	configs := map[string]string{}
	until("the second setting", func() bool {
		for _, config := range must(cl.DescribeTopicConfigs(ctx, topic))[0].Configs {
			if config.Source.String() == "DYNAMIC_TOPIC_CONFIG" {
				configs[config.Key] = config.MaybeValue()
			}
		}
		return len(configs) == 2
	})
	out["configs"] = configs
	resources := must(cl.ListConfigResources(ctx, kadm.ConfigResourceTopic))
	for _, resource := range resources.Resources {
		if resource.Name == topic {
			out["resource"] = true
		}
	}

	to := client(kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer to.Close()
	start := time.Now().Add(-time.Hour).UnixMilli()
	for i := 0; i < 10; i++ {
		r := kgo.StringRecord(fmt.Sprint(i))
		r.Timestamp = time.UnixMilli(start + int64(i)*1000)
		check(to.ProduceSync(ctx, r).FirstErr())
	}
	var before kadm.Offsets
	before.AddOffset(topic, 0, 3, -1)
	deleted := must(cl.DeleteRecords(ctx, before))
	low, _ := deleted.Lookup(topic, 0)
	out["low"] = low.LowWatermark
	at := func(listed kadm.ListedOffsets, err error) int64 {
		check(err)
		offset, _ := listed.Lookup(topic, 0)
		check(offset.Err)
		return offset.Offset
	}
	out["start"] = at(cl.ListStartOffsets(ctx, topic))
	out["end"] = at(cl.ListEndOffsets(ctx, topic))
	out["committed"] = at(cl.ListCommittedOffsets(ctx, topic))
	out["timed"] = at(cl.ListOffsetsAfterMilli(ctx, start+4500, topic))
	out["max"] = at(cl.ListMaxTimestampOffsets(ctx, topic))
	out["local"] = at(cl.ListLocalLogStartOffsets(ctx, topic))
	set := kadm.TopicsSet{}
	set.Add(topic, 0)
	for _, dirs := range must(cl.DescribeAllLogDirs(ctx, set)) {
		for _, dir := range dirs {
			p, _ := dir.Topics.Lookup(topic, 0)
			out["size"] = p.Size > 0
		}
	}
	elected := must(cl.ElectLeaders(ctx, kadm.ElectPreferredReplica, set))
	out["elected"] = name(elected[topic][0].Err)
	producers := must(cl.DescribeProducers(ctx, set))
	out["producers"] = len(producers[topic].Partitions[0].ActiveProducers)
	epochs := kadm.OffsetForLeaderEpochRequest{}
	epochs.Add(topic, 0, 0)
	ends := must(cl.OffsetForLeaderEpoch(ctx, epochs))
	out["epoch end"] = ends[topic][0].EndOffset

	group := topic + "-group"
	check(cl.CommitAllOffsets(ctx, group, before))
	listed := must(cl.ListGroups(ctx, "Empty"))
	out["listed"] = listed[group].State
	out["of type classic"] = must(cl.ListGroupsByType(ctx, []string{"classic"}))[group].Group == group
	out["offset deleted"] = name(must(cl.DeleteOffsets(ctx, group, set)).Error())
	check(cl.CommitAllOffsets(ctx, group, before))
	_, err = cl.DeleteGroup(ctx, group)
	out["group deleted"] = name(err)
	_, err = cl.DeleteGroup(ctx, group)
	out["deleted again"] = name(err)

	_, err = cl.DeleteTopic(ctx, topic)
	out["topic deleted"] = name(err)
	_, err = cl.DeleteTopic(ctx, topic)
	out["gone"] = name(err)
	return out
}

func failures() found {
	cl := kadm.NewClient(client())
	defer cl.Close()
	limit := "10000"
	must(cl.CreateTopic(ctx, 1, 1, map[string]*string{"max.message.bytes": &limit}, topic))
	out := found{}
	send := func(to *kgo.Client, topic string, size int) string {
		r := &kgo.Record{Topic: topic, Value: make([]byte, size)}
		return name(to.ProduceSync(ctx, r).FirstErr())
	}
	to := client(kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.UnknownTopicRetries(1))
	defer to.Close()
	out["too large"] = send(to, topic, 20_000)
	out["fits"] = send(to, topic, 5_000)
	out["unknown"] = send(to, topic+"-unknown", 1)
	must(cl.DeleteTopic(ctx, topic))
	other := client(kgo.UnknownTopicRetries(1))
	defer other.Close()
	out["deleted"] = send(other, topic, 1)
	return out
}

func transactions() found {
	begun := time.Now()
	to := client(kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic))
	err := to.BeginTransaction()
	if err == nil {
		err = to.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr()
	}
	return found{"error": name(err), "ms": time.Since(begun).Milliseconds()}
}

func main() {
	var cancel context.CancelFunc
	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Second)
	defer cancel()
	scenarios := map[string]func() found{
		"produce": produce, "longPoll": longPoll, "rebalance": rebalance, "static": static,
		"resume": resume, "admin": admin, "failures": failures, "transactions": transactions,
	}
	address, topic = os.Args[2], os.Args[3]
	if len(os.Args) > 4 {
		word = os.Args[4]
	}
	check(json.NewEncoder(os.Stdout).Encode(scenarios[os.Args[1]]()))
	os.Exit(0)
}
