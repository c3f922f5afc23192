/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load generator that speaks to any Kafka broker and costs little itself, for tests/bench. Each
 * run prints JSON.
 *
 *     kafka-load produce HOST:PORT TOPIC [options]
 *     kafka-load consume HOST:PORT TOPIC --passes N [options]
 *     kafka-load pace    HOST:PORT TOPIC --rate N --seconds N [--far HOST:PORT --far-topic T]
 *     kafka-load idle    HOST:PORT TOPIC --connections N --seconds N [options]
 *
 * Requests have the highest version that the broker offers, up to Kafka 4.1's.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tools/kafka_load.h"

enum option_id {
	OPTION_CA = 256,
	OPTION_RECORD_BYTES,
	OPTION_BATCH_RECORDS,
	OPTION_JSON,
	OPTION_LZ4,
	OPTION_MB,
	OPTION_CONNECTIONS,
	OPTION_IN_FLIGHT,
	OPTION_PARTITIONS,
	OPTION_PASSES,
	OPTION_RATE,
	OPTION_SECONDS,
	OPTION_WAIT_MS,
	OPTION_FIRST,
	OPTION_FAR,
	OPTION_FAR_TOPIC
};

static const struct option OPTIONS[] = {
	{"tls-ca", required_argument, NULL, OPTION_CA},
	{"record-bytes", required_argument, NULL, OPTION_RECORD_BYTES},
	{"records-per-batch", required_argument, NULL, OPTION_BATCH_RECORDS},
	{"json", no_argument, NULL, OPTION_JSON},
	{"lz4", no_argument, NULL, OPTION_LZ4},
	{"mb", required_argument, NULL, OPTION_MB},
	{"connections", required_argument, NULL, OPTION_CONNECTIONS},
	{"in-flight", required_argument, NULL, OPTION_IN_FLIGHT},
	{"partitions-per-request", required_argument, NULL, OPTION_PARTITIONS},
	{"passes", required_argument, NULL, OPTION_PASSES},
	{"rate", required_argument, NULL, OPTION_RATE},
	{"seconds", required_argument, NULL, OPTION_SECONDS},
	{"wait-ms", required_argument, NULL, OPTION_WAIT_MS},
	{"first", required_argument, NULL, OPTION_FIRST},
	{"far", required_argument, NULL, OPTION_FAR},
	{"far-topic", required_argument, NULL, OPTION_FAR_TOPIC},
	{0},
};

static const struct {
	const char *name;
	void (*run)(struct load_loop *l, const struct load_topic *t, const struct load_options *o);
} COMMANDS[] = {
	{"produce", load_produce},
	{"consume", load_consume},
	{"pace", load_pace},
	{"idle", load_idle},
};

static long number(const char *text, long max)
{
	char *end;
	errno = 0;
	long n = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || end == text || n < 1 || n > max)
		load_die("%s: not a number from 1 to %ld", text, max);
	return n;
}

static void take_option(int id, struct load_options *o, const char **ca)
{
	switch (id) {
	case OPTION_CA:
		*ca = optarg;
		break;
	case OPTION_RECORD_BYTES:
		o->shape.record_bytes = (size_t)number(optarg, 1 << 20);
		break;
	case OPTION_BATCH_RECORDS:
		o->shape.records = (int32_t)number(optarg, 1 << 20);
		break;
	case OPTION_JSON:
		o->shape.values = LOAD_VALUES_JSON;
		break;
	case OPTION_LZ4:
		o->shape.codec = CODEC_LZ4;
		break;
	case OPTION_MB:
		o->bytes = number(optarg, 1 << 20) << 20;
		break;
	case OPTION_CONNECTIONS:
		o->connections = (unsigned)number(optarg, 20000);
		break;
	case OPTION_IN_FLIGHT:
		o->in_flight = (unsigned)number(optarg, LOAD_QUEUE_MAX);
		break;
	case OPTION_PARTITIONS:
		o->partitions_per_request = (int32_t)number(optarg, 1024);
		break;
	case OPTION_PASSES:
		o->passes = (unsigned)number(optarg, 100000);
		break;
	case OPTION_RATE:
		o->rate = (unsigned)number(optarg, 100000);
		break;
	case OPTION_SECONDS:
		o->seconds = (unsigned)number(optarg, 3600);
		break;
	case OPTION_WAIT_MS:
		o->max_wait_ms = (int32_t)number(optarg, 60000);
		break;
	case OPTION_FIRST:
		o->first = number(optarg, INT32_MAX);
		break;
	case OPTION_FAR:
		o->far = optarg;
		break;
	case OPTION_FAR_TOPIC:
		o->far_topic = optarg;
		break;
	default:
		load_die("see the head of tests/tools/kafka_load.c");
	}
}

int main(int argc, char **argv)
{
	struct load_options o = {.shape = {.record_bytes = 1024, .records = 64},
				 .bytes = 64 << 20,
				 .connections = 1,
				 .passes = 1,
				 .in_flight = 5,
				 .partitions_per_request = 1,
				 .rate = 1000,
				 .seconds = 10,
				 .max_wait_ms = 500};
	const char *ca = NULL;
	int id;
	while ((id = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1)
		take_option(id, &o, &ca);
	if ((o.far == NULL) != (o.far_topic == NULL))
		load_die("--far and --far-topic belong together");
	if (argc - optind != 3)
		load_die("a command, HOST:PORT and a topic are needed");
	for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
		if (strcmp(argv[optind], COMMANDS[i].name) != 0)
			continue;
		struct load_loop l;
		struct load_topic t = {0};
		if (COMMANDS[i].run == load_pace)
			o.records = (int64_t)o.rate * o.seconds;
		load_loop_init(&l, argv[optind + 1], ca);
		load_topic_find(&l, argv[optind + 2], &t);
		COMMANDS[i].run(&l, &t, &o);
		load_loop_fini(&l);
		return 0;
	}
	load_die("%s: no such command", argv[optind]);
}
