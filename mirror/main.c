/* SPDX-License-Identifier: Apache-2.0 */
/* farshore-mirror: the command line. Exit codes: 0 done, 1 could not run, 2 bad command line or
 * configuration. */
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mirror/clusters/connect.h"
#include "mirror/config/config.h"
#include "mirror/daemon.h"

enum { EXIT_CONFIG = 2, TARGETS_MAX = 64 };

static const char usage[] =
	"farshore-mirror copies Kafka topics from one cluster to another.\n"
	"\n"
	"  farshore-mirror --mm2 FILE [--clusters ALIAS ...]   run with a MirrorMaker 2 "
	"mm2.properties\n"
	"  farshore-mirror --config FILE                       run with a native configuration\n"
	"\n"
	"  --set PATH=VALUE    override one setting, as in --set http.listen=127.0.0.1:9000 "
	"(repeatable)\n"
	"  --clusters ALIAS    run only the links whose target is ALIAS (repeatable; MirrorMaker "
	"2's --clusters)\n"
	"  --take-over         go on in target topics that MirrorMaker 2 filled, where it stopped\n"
	"  --recover-runs      the same, and translate old offsets exactly: compares all records\n"
	"  --check-config      check the configuration, print what is in force, and exit\n"
	"  --help-config       print every setting with its type, range, default and meaning\n"
	"  --version           print the version\n"
	"  --help              print this\n"
	"\n"
	"While it runs: http://127.0.0.1:8380/metrics /readyz /livez /v1/links (see http.listen).\n"
	"Logs go to stderr. SIGTERM stops it cleanly within 5 s; kill -9 loses and doubles nothing "
	"either. SIGHUP\nreads the configuration again and takes over what --help-config says "
	"\"reloads\" of.\n"
	"Exit codes: 0 stopped, 1 could not run, 2 bad command line or configuration.\n";

struct arguments {
	struct config_source source;
	const char *sets[CONFIG_SETS_MAX];
	const char *targets[TARGETS_MAX];
	bool check;
};

enum {
	OPT_MM2 = 1000,
	OPT_CONFIG,
	OPT_SET,
	OPT_CLUSTERS,
	OPT_TAKE_OVER,
	OPT_RECOVER_RUNS,
	OPT_CHECK,
	OPT_HELP_CONFIG,
	OPT_VERSION,
	OPT_HELP
};

static const struct option options[] = {
	{"mm2", required_argument, NULL, OPT_MM2},
	{"config", required_argument, NULL, OPT_CONFIG},
	{"set", required_argument, NULL, OPT_SET},
	{"clusters", required_argument, NULL, OPT_CLUSTERS},
	{"take-over", no_argument, NULL, OPT_TAKE_OVER},
	{"recover-runs", no_argument, NULL, OPT_RECOVER_RUNS},
	{"check-config", no_argument, NULL, OPT_CHECK},
	{"help-config", no_argument, NULL, OPT_HELP_CONFIG},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int bad_usage(const char *what)
{
	fprintf(stderr, "farshore-mirror: %s; see farshore-mirror --help\n", what);
	return EXIT_CONFIG;
}

static int unexpected(const char *argument)
{
	fprintf(stderr, "farshore-mirror: unexpected argument %s; see farshore-mirror --help\n",
		argument);
	return EXIT_CONFIG;
}

/* -1: go on; otherwise the exit code. */
static int take_option(struct arguments *a, int opt)
{
	switch (opt) {
	case OPT_MM2:
	case OPT_CONFIG:
		if (a->source.file != NULL)
			return bad_usage("give one of --mm2 and --config, once");
		a->source.file = optarg;
		a->source.mm2 = opt == OPT_MM2;
		return -1;
	case OPT_SET:
		if (a->source.sets_n == CONFIG_SETS_MAX)
			return bad_usage("too many --set");
		a->sets[a->source.sets_n++] = optarg;
		return -1;
	case OPT_CLUSTERS:
		if (a->source.only_targets_n == TARGETS_MAX)
			return bad_usage("too many --clusters");
		a->targets[a->source.only_targets_n++] = optarg;
		return -1;
	case OPT_TAKE_OVER:
		if (a->source.take_over == TAKE_OVER_NO)
			a->source.take_over = TAKE_OVER_POSITIONS;
		return -1;
	case OPT_RECOVER_RUNS:
		a->source.take_over = TAKE_OVER_RUNS;
		return -1;
	case OPT_CHECK:
		a->check = true;
		return -1;
	case OPT_HELP_CONFIG:
		mirror_config_describe(stdout);
		return EXIT_SUCCESS;
	case OPT_VERSION:
		printf("farshore-mirror %s\n", FARSHORE_VERSION);
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
	/* MirrorMaker 2 takes several aliases after one --clusters. */
	for (; optind < argc; optind++) {
		if (a->source.only_targets_n == 0)
			return unexpected(argv[optind]);
		if (a->source.only_targets_n == TARGETS_MAX)
			return bad_usage("too many --clusters");
		a->targets[a->source.only_targets_n++] = argv[optind];
	}
	if (a->source.file == NULL)
		return bad_usage("give --mm2 FILE or --config FILE");
	a->source.sets = a->sets;
	a->source.only_targets = a->targets;
	return -1;
}

/* Certificates that cannot be used show up now, not when the mirror is started anew. */
static int check(const struct mirror_config *config)
{
	int code = EXIT_SUCCESS;
	for (size_t i = 0; i < config->clusters_n; i++) {
		struct errmsg why = {""};
		if (connect_check(&config->clusters[i], &why) == ERR_OK)
			continue;
		fprintf(stderr, "farshore-mirror: %s\n", why.text);
		code = EXIT_CONFIG;
	}
	if (code == EXIT_SUCCESS)
		mirror_config_dump(config, stdout);
	return code;
}

static int run(const struct mirror_config *config, const struct config_source *source)
{
	enum log_level level = LOG_INFO;
	struct errmsg why = {""};
	if (!log_level_parse(config->log_level, &level))
		return bad_usage("log.level must be error, warn, info or debug");
	struct log *log = log_new(STDERR_FILENO, level, clock_system());
	if (log == NULL) {
		fputs("farshore-mirror: out of memory\n", stderr);
		return EXIT_FAILURE;
	}
	log_event(log, LOG_INFO, "starting", LOG_S("program", "farshore-mirror"),
		  LOG_S("version", FARSHORE_VERSION), LOG_I("links", config->links_n));
	enum err e = daemon_run(config, source, log, &why);
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
	daemon_signals_block();
	int code = parse(&a, argc, argv);
	if (code >= 0)
		return code;
	/* Few threads allocate, and little: one arena each would only scatter memory. */
	mallopt(M_ARENA_MAX, 1);
	struct mirror_config config;
	struct errmsg why = {""};
	enum err e = mirror_config_load(&a.source, &config, stderr, &why);
	if (e != ERR_OK) {
		fprintf(stderr, "farshore-mirror: %s\n", why.text);
		return EXIT_CONFIG;
	}
	code = a.check ? check(&config) : run(&config, &a.source);
	mirror_config_fini(&config);
	return code;
}
