/* SPDX-License-Identifier: Apache-2.0 */
/* farshore-broker: the command line and the process. */
#include <event2/event.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>

#include "cluster/broker.h"
#include "cluster/listeners.h"
#include "lib/base/program.h"

enum { SIGNALS = 3 };

static const char usage[] =
	"farshore-broker is a Kafka broker for one node.\n"
	"\n"
	"  farshore-broker --data DIR --listen HOST:PORT\n"
	"\n"
	"  --data DIR          where everything is kept; made if it does not exist\n"
	"  --listen HOST:PORT  a plain listener\n"
	"  --config FILE       settings, name = value (as in Kafka's server.properties)\n"
	"  --set NAME=VALUE    override one setting, as in --set num.partitions=3 (repeatable)\n"
	"  --check-config      check the settings, print what is in force, and exit\n"
	"  --help-config       print every setting with its range, default and meaning\n"
	"  --version           print the version\n"
	"  --help              print this\n"
	"\n"
	"Logs go to stderr; event=broker_ready says that it serves. SIGTERM stops it cleanly.\n"
	"Exit codes: 0 stopped, 1 could not run, 2 bad command line or configuration.\n";

static const struct program program = {"farshore-broker", usage, broker_config_describe};

struct arguments {
	struct program_options common;
	struct broker_config_source source;
};

enum { OPT_DATA = PROGRAM_OPT_OWN, OPT_LISTEN, OPT_CONFIG };

static const struct option options[] = {
	{"data", required_argument, NULL, OPT_DATA},
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"config", required_argument, NULL, OPT_CONFIG},
	PROGRAM_OPTIONS,
	{NULL, 0, NULL, 0},
};

static int take_once(const char **to)
{
	if (*to != NULL)
		return program_bad_usage(&program, "give --data, --listen and --config once each");
	*to = optarg;
	return PROGRAM_GO_ON;
}

/* PROGRAM_GO_ON, or the exit code. */
static int take_option(struct arguments *a, int opt)
{
	switch (opt) {
	case OPT_DATA:
		return take_once(&a->source.data);
	case OPT_LISTEN:
		return take_once(&a->source.listen);
	case OPT_CONFIG:
		return take_once(&a->source.file);
	default:
		return program_take_option(&program, &a->common, opt);
	}
}

static int parse(struct arguments *a, int argc, char **argv)
{
	int opt, code = PROGRAM_GO_ON;
	while (code == PROGRAM_GO_ON && (opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		code = take_option(a, opt);
	if (code == PROGRAM_GO_ON && optind < argc)
		code = program_bad_usage(&program, "unexpected argument %s", argv[optind]);
	a->source.sets = a->common.sets;
	a->source.sets_n = a->common.sets_n;
	return code;
}

/* ---- the process ---- */

struct process {
	struct loop *loop;
	struct broker *broker;
	struct event *signals[SIGNALS];
	bool stopping;
};

static void on_stopped(void *arg)
{
	struct process *p = arg;
	loop_break(p->loop);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct process *p = arg;
	(void)what;
	if (sig == SIGHUP) {
		log_event(loop_log(p->loop), LOG_WARN, "reload_ignored",
			  LOG_S("reason", "settings are read at the start; certificates are "
					  "re-read by themselves"));
		return;
	}
	if (p->stopping)
		return;
	p->stopping = true;
	log_event(loop_log(p->loop), LOG_INFO, "stopping",
		  LOG_S("signal", sig == SIGTERM ? "SIGTERM" : "SIGINT"));
	broker_stop(p->broker, on_stopped, p);
}

/* Before anything else, so that a signal during a long recovery is not lost: it is delivered when
 * the loop runs. */
static enum err start_signals(struct process *p, struct errmsg *why)
{
	static const int list[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < SIGNALS; i++) {
		/* What is restored at the end: a second signal must not kill an orderly end. */
		signal(list[i], SIG_IGN);
		p->signals[i] = evsignal_new(loop_base(p->loop), list[i], on_signal, p);
		if (p->signals[i] == NULL || evsignal_add(p->signals[i], NULL) != 0)
			return errmsg_set(why, ERR_NOMEM, "signals: out of memory");
	}
	return ERR_OK;
}

static enum err serve(const struct broker_config *config, struct log *log, struct errmsg *why)
{
	struct process p = {.loop = NULL};
	enum err e = loop_new(config->workers, clock_system(), log, &p.loop, why);
	if (e != ERR_OK)
		return e;
	e = start_signals(&p, why);
	if (e == ERR_OK)
		e = broker_new(p.loop, config, &p.broker, why);
	if (e == ERR_OK)
		loop_run(p.loop);
	broker_free(p.broker);
	for (size_t i = 0; i < SIGNALS; i++)
		if (p.signals[i] != NULL)
			event_free(p.signals[i]);
	loop_free(p.loop);
	return e;
}

/* Certificates that cannot be used show up now, not when the broker is started anew. */
static int check(const struct broker_config *config)
{
	struct errmsg why = {""};
	if (listeners_check(config, &why) != ERR_OK) {
		fprintf(stderr, "%s: %s\n", program.name, why.text);
		return PROGRAM_EXIT_CONFIG;
	}
	broker_config_dump(config, stdout);
	return EXIT_SUCCESS;
}

static int run(const struct broker_config *config)
{
	struct errmsg why = {""};
	struct log *log = program_log_new(&program, config->log_level);
	if (log == NULL)
		return EXIT_FAILURE;
	log_event(log, LOG_INFO, "starting", LOG_S("program", program.name),
		  LOG_S("version", FARSHORE_VERSION));
	enum err e = serve(config, log, &why);
	return program_log_end(log, e, &why);
}

int main(int argc, char **argv)
{
	struct arguments a = {.common.sets_n = 0};
	int code = parse(&a, argc, argv);
	if (code != PROGRAM_GO_ON)
		return code;
	/* Few threads allocate, and little: one arena each would only scatter memory. */
	mallopt(M_ARENA_MAX, 1);
	struct broker_config config;
	struct errmsg why = {""};
	enum err e = broker_config_load(&a.source, &config, stderr, &why);
	if (e != ERR_OK) {
		fprintf(stderr, "%s: %s\n", program.name, why.text);
		return PROGRAM_EXIT_CONFIG;
	}
	code = a.common.check ? check(&config) : run(&config);
	broker_config_fini(&config);
	return code;
}
