/* SPDX-License-Identifier: Apache-2.0 */
/* farshore-broker: the command line and the process. Exit codes: 0 stopped, 1 could not run, 2 bad
 * command line or configuration. */
#include <event2/event.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/broker.h"
#include "cluster/listeners.h"

enum { EXIT_CONFIG = 2, SIGNALS = 3 };

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

struct arguments {
	struct broker_config_source source;
	const char *sets[BROKER_CONFIG_SETS_MAX];
	bool check;
};

enum {
	OPT_DATA = 1000,
	OPT_LISTEN,
	OPT_CONFIG,
	OPT_SET,
	OPT_CHECK,
	OPT_HELP_CONFIG,
	OPT_VERSION,
	OPT_HELP
};

static const struct option options[] = {
	{"data", required_argument, NULL, OPT_DATA},
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"config", required_argument, NULL, OPT_CONFIG},
	{"set", required_argument, NULL, OPT_SET},
	{"check-config", no_argument, NULL, OPT_CHECK},
	{"help-config", no_argument, NULL, OPT_HELP_CONFIG},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int bad_usage(const char *what)
{
	fprintf(stderr, "farshore-broker: %s; see farshore-broker --help\n", what);
	return EXIT_CONFIG;
}

static int unexpected(const char *argument)
{
	fprintf(stderr, "farshore-broker: unexpected argument %s; see farshore-broker --help\n",
		argument);
	return EXIT_CONFIG;
}

static int take_once(const char **to)
{
	if (*to != NULL)
		return bad_usage("give --data, --listen and --config once each");
	*to = optarg;
	return -1;
}

/* -1: go on; otherwise the exit code. */
static int take_option(struct arguments *a, int opt)
{
	switch (opt) {
	case OPT_DATA:
		return take_once(&a->source.data);
	case OPT_LISTEN:
		return take_once(&a->source.listen);
	case OPT_CONFIG:
		return take_once(&a->source.file);
	case OPT_SET:
		if (a->source.sets_n == BROKER_CONFIG_SETS_MAX)
			return bad_usage("too many --set");
		a->sets[a->source.sets_n++] = optarg;
		return -1;
	case OPT_CHECK:
		a->check = true;
		return -1;
	case OPT_HELP_CONFIG:
		broker_config_describe(stdout);
		return EXIT_SUCCESS;
	case OPT_VERSION:
		printf("farshore-broker %s\n", FARSHORE_VERSION);
		return EXIT_SUCCESS;
	case OPT_HELP:
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	default:
		return bad_usage("unknown option");
	}
}

static int parse(struct arguments *a, int argc, char **argv)
{
	int opt, code;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		code = take_option(a, opt);
		if (code >= 0)
			return code;
	}
	if (optind < argc)
		return unexpected(argv[optind]);
	a->source.sets = a->sets;
	return -1;
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
		fprintf(stderr, "farshore-broker: %s\n", why.text);
		return EXIT_CONFIG;
	}
	broker_config_dump(config, stdout);
	return EXIT_SUCCESS;
}

static int run(const struct broker_config *config)
{
	enum log_level level = LOG_INFO;
	struct errmsg why = {""};
	(void)log_level_parse(config->log_level, &level);
	struct log *log = log_new(STDERR_FILENO, level, clock_system());
	if (log == NULL) {
		fputs("farshore-broker: out of memory\n", stderr);
		return EXIT_FAILURE;
	}
	log_event(log, LOG_INFO, "starting", LOG_S("program", "farshore-broker"),
		  LOG_S("version", FARSHORE_VERSION));
	enum err e = serve(config, log, &why);
	if (e != ERR_OK)
		log_event(log, LOG_ERROR, "cannot_run", LOG_S("error", err_name(e)),
			  LOG_S("reason", why.text));
	else
		log_event(log, LOG_INFO, "stopped", LOG_I("code", 0));
	log_free(log);
	return e == ERR_OK ? EXIT_SUCCESS : e == ERR_CONFIG ? EXIT_CONFIG : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct arguments a = {.check = false};
	int code = parse(&a, argc, argv);
	if (code >= 0)
		return code;
	/* Few threads allocate, and little: one arena each would only scatter memory. */
	mallopt(M_ARENA_MAX, 1);
	struct broker_config config;
	struct errmsg why = {""};
	enum err e = broker_config_load(&a.source, &config, stderr, &why);
	if (e != ERR_OK) {
		fprintf(stderr, "farshore-broker: %s\n", why.text);
		return EXIT_CONFIG;
	}
	code = a.check ? check(&config) : run(&config);
	broker_config_fini(&config);
	return code;
}
