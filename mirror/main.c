/* SPDX-License-Identifier: Apache-2.0 */
/* farshore-mirror: the command line. */
#include <malloc.h>
#include <stdlib.h>

#include "lib/base/program.h"
#include "mirror/clusters/connect.h"
#include "mirror/config/config.h"
#include "mirror/daemon.h"

enum { TARGETS_MAX = 64 };

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

static const struct program program = {"farshore-mirror", usage, mirror_config_describe};

struct arguments {
	struct program_options common;
	struct config_source source;
	const char *targets[TARGETS_MAX];
};

enum {
	OPT_MM2 = PROGRAM_OPT_OWN,
	OPT_CONFIG,
	OPT_CLUSTERS,
	OPT_TAKE_OVER,
	OPT_RECOVER_RUNS,
};

static const struct option options[] = {
	{"mm2", required_argument, NULL, OPT_MM2},
	{"config", required_argument, NULL, OPT_CONFIG},
	{"clusters", required_argument, NULL, OPT_CLUSTERS},
	{"take-over", no_argument, NULL, OPT_TAKE_OVER},
	{"recover-runs", no_argument, NULL, OPT_RECOVER_RUNS},
	PROGRAM_OPTIONS,
	{NULL, 0, NULL, 0},
};

static int take_target(struct arguments *a, const char *alias)
{
	if (a->source.only_targets_n == TARGETS_MAX)
		return program_bad_usage(&program, "too many --clusters");
	a->targets[a->source.only_targets_n++] = alias;
	return PROGRAM_GO_ON;
}

/* PROGRAM_GO_ON, or the exit code. */
static int take_option(struct arguments *a, int opt)
{
	switch (opt) {
	case OPT_MM2:
	case OPT_CONFIG:
		if (a->source.file != NULL)
			return program_bad_usage(&program, "give one of --mm2 and --config, once");
		a->source.file = optarg;
		a->source.mm2 = opt == OPT_MM2;
		return PROGRAM_GO_ON;
	case OPT_CLUSTERS:
		return take_target(a, optarg);
	case OPT_TAKE_OVER:
		if (a->source.take_over == TAKE_OVER_NO)
			a->source.take_over = TAKE_OVER_POSITIONS;
		return PROGRAM_GO_ON;
	case OPT_RECOVER_RUNS:
		a->source.take_over = TAKE_OVER_RUNS;
		return PROGRAM_GO_ON;
	default:
		return program_take_option(&program, &a->common, opt);
	}
}

static int parse(struct arguments *a, int argc, char **argv)
{
	int opt, code = PROGRAM_GO_ON;
	while (code == PROGRAM_GO_ON && (opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		code = take_option(a, opt);
	/* MirrorMaker 2 takes several aliases after one --clusters. */
	for (; code == PROGRAM_GO_ON && optind < argc; optind++)
		code = a->source.only_targets_n == 0
			       ? program_bad_usage(&program, "unexpected argument %s", argv[optind])
			       : take_target(a, argv[optind]);
	if (code == PROGRAM_GO_ON && a->source.file == NULL)
		code = program_bad_usage(&program, "give --mm2 FILE or --config FILE");
	a->source.sets = a->common.sets;
	a->source.sets_n = a->common.sets_n;
	a->source.only_targets = a->targets;
	return code;
}

/* Certificates that cannot be used show up now, not when the mirror is started anew. */
static int check(const struct mirror_config *config)
{
	int code = EXIT_SUCCESS;
	for (size_t i = 0; i < config->clusters_n; i++) {
		struct errmsg why = {""};
		if (connect_check(&config->clusters[i], &why) == ERR_OK)
			continue;
		fprintf(stderr, "%s: %s\n", program.name, why.text);
		code = PROGRAM_EXIT_CONFIG;
	}
	if (code == EXIT_SUCCESS)
		mirror_config_dump(config, stdout);
	return code;
}

static int run(const struct mirror_config *config, const struct config_source *source)
{
	struct errmsg why = {""};
	struct log *log = program_log_new(&program, config->log_level);
	if (log == NULL)
		return EXIT_FAILURE;
	log_event(log, LOG_INFO, "starting", LOG_S("program", program.name),
		  LOG_S("version", FARSHORE_VERSION), LOG_I("links", config->links_n));
	enum err e = daemon_run(config, source, log, &why);
	return program_log_end(log, e, &why);
}

int main(int argc, char **argv)
{
	struct arguments a = {.common.sets_n = 0};
	daemon_signals_block();
	int code = parse(&a, argc, argv);
	if (code != PROGRAM_GO_ON)
		return code;
	/* Few threads allocate, and little: one arena each would only scatter memory. */
	mallopt(M_ARENA_MAX, 1);
	struct mirror_config config;
	struct errmsg why = {""};
	enum err e = mirror_config_load(&a.source, &config, stderr, &why);
	if (e != ERR_OK) {
		fprintf(stderr, "%s: %s\n", program.name, why.text);
		return PROGRAM_EXIT_CONFIG;
	}
	code = a.common.check ? check(&config) : run(&config, &a.source);
	mirror_config_fini(&config);
	return code;
}
