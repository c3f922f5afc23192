/* SPDX-License-Identifier: Apache-2.0 */
/* The chain of a configuration's sources; see config_answer.h. */
#include "cluster/api/config_answer.h"

#include "cluster/broker.h"

static void put(struct config_chain *c, const char *name, const char *value,
		enum config_source source)
{
	if (value != NULL)
		c->links[c->n++] = (struct config_link){name, value, source};
}

void config_chain_of(struct broker *b, const struct topic_config *tc, const char *own,
		     struct config_chain *out)
{
	const struct metadata *m = broker_metadata(b);
	const char *name = tc->broker == NULL ? tc->name : tc->broker;
	struct plog_config init;

	out->n = 0;
	put(out, tc->name, own, CONFIG_SOURCE_TOPIC);
	if (tc->broker != NULL) {
		put(out, name, map_get(metadata_broker_configs(m, false), bytes_str(name)),
		    CONFIG_SOURCE_BROKER);
		put(out, name, map_get(metadata_broker_configs(m, true), bytes_str(name)),
		    CONFIG_SOURCE_CLUSTER);
	}
	plog_config_init(&init);
	topic_config_show(tc, &broker_config(b)->log, out->from_start);
	topic_config_show(tc, &init, out->by_default);
	if (strcmp(out->from_start, out->by_default) != 0)
		put(out, name, out->from_start, CONFIG_SOURCE_STATIC);
	put(out, name, out->by_default, CONFIG_SOURCE_DEFAULT);
}
