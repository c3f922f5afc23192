/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MM2's naming rules over borrowed strings, without allocation. The rules are those of
 * DefaultReplicationPolicy, IdentityReplicationPolicy and ReplicationPolicy (Kafka 4.1,
 * connect/mirror-client), and of the LegacyReplicationPolicy proposed with KIP-382, which keeps all
 * names but those of heartbeats topics.
 */
#include "mirror/config/naming.h"

#include <stdio.h>
#include <string.h>

static bool starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), k = strlen(suffix);
	return n >= k && strcmp(s + n - k, suffix) == 0;
}

/*
 * The alias in front of a topic name, as DefaultReplicationPolicy.topicSource: what stands before
 * the first separator. Java's split() drops empty strings at the end, so that a name which has only
 * separators after that has no source. False: not a remote topic.
 */
static bool prefix_of(const char *separator, const char *topic, struct bytes *alias,
		      const char **upstream)
{
	size_t k = strlen(separator);
	const char *at = strstr(topic, separator);
	if (at == NULL || k == 0)
		return false;
	const char *rest = at;
	while (strncmp(rest, separator, k) == 0)
		rest += k;
	if (*rest == '\0')
		return false;
	*alias = bytes_of(topic, (size_t)(at - topic));
	*upstream = at + k;
	return true;
}

static bool is_heartbeats(const struct link_config *link, const char *topic)
{
	struct bytes alias;
	while (prefix_of(link->separator, topic, &alias, &topic))
		;
	return strcmp(topic, "heartbeats") == 0;
}

/* Does this name get, and tell, its source under the link's policy? */
static bool is_prefixed(const struct link_config *link, const char *topic)
{
	switch (link->policy) {
	case POLICY_DEFAULT:
		return true;
	case POLICY_IDENTITY:
		/* IdentityReplicationPolicy.looksLikeHeartbeat */
		return ends_with(topic, "heartbeats");
	case POLICY_LEGACY:
		return is_heartbeats(link, topic);
	}
	return true;
}

static enum err put_name(char out[TOPIC_NAME_MAX + 1], const char *const *parts, size_t n)
{
	size_t len = 0;
	out[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		size_t k = strlen(parts[i]);
		if (k > TOPIC_NAME_MAX - len) {
			out[0] = '\0';
			return ERR_LIMIT;
		}
		memcpy(out + len, parts[i], k + 1);
		len += k;
	}
	return ERR_OK;
}

enum err naming_remote(const struct link_config *link, const char *topic,
		       char out[TOPIC_NAME_MAX + 1])
{
	const char *const parts[] = {link->source->name, link->separator, topic};
	if (is_prefixed(link, topic))
		return put_name(out, parts, 3);
	return put_name(out, &topic, 1);
}

/* LegacyReplicationPolicy has no separator for internal topics. */
static const char *internal_separator(const struct link_config *link)
{
	return link->internal_separator && link->policy != POLICY_LEGACY ? link->separator : ".";
}

bool naming_is_internal(const struct link_config *link, const char *topic)
{
	static const char word[] = "internal";
	if (starts_with(topic, "__") || starts_with(topic, ".") || ends_with(topic, "-internal") ||
	    ends_with(topic, ".internal"))
		return true;
	const char *separator = internal_separator(link);
	size_t n = strlen(topic), k = strlen(separator), w = sizeof word - 1;
	return ends_with(topic, word) && n - w >= k &&
	       strncmp(topic + n - w - k, separator, k) == 0;
}

bool naming_is_cycle(const struct link_config *link, const char *topic)
{
	struct bytes alias;
	/* The other policies know no source but for heartbeats (MirrorSourceConnector.isCycle). */
	while (is_prefixed(link, topic) && prefix_of(link->separator, topic, &alias, &topic))
		if (bytes_eq_str(alias, link->target->name))
			return true;
	return false;
}

static const char *original_from(const struct link_config *link, const char *cluster,
				 const char *topic)
{
	struct bytes alias;
	const char *original;
	return is_prefixed(link, topic) && prefix_of(link->separator, topic, &alias, &original) &&
			       bytes_eq_str(alias, cluster)
		       ? original
		       : NULL;
}

const char *naming_original(const struct link_config *link, const char *topic)
{
	return original_from(link, link->target->name, topic);
}

const char *naming_own(const struct link_config *link, const char *topic)
{
	return original_from(link, link->source->name, topic);
}

bool naming_should_mirror(const struct link_config *link, const struct topic_filter *f,
			  const char *topic)
{
	if (naming_is_internal(link, topic) || naming_is_cycle(link, topic))
		return false;
	return (link->heartbeats && is_heartbeats(link, topic)) || topic_filter_match(f, topic);
}

enum err naming_source_topic(const struct link_config *link, const char *suffix,
			     char out[TOPIC_NAME_MAX + 1])
{
	const char *const parts[] = {link->source->name, suffix};
	return put_name(out, parts, 2);
}

enum err naming_runs_topic(const struct link_config *link, char out[TOPIC_NAME_MAX + 1])
{
	return naming_source_topic(link, ".offset-runs.internal", out);
}

enum err naming_offset_syncs_topic(const struct link_config *link, const char *alias,
				   char out[TOPIC_NAME_MAX + 1])
{
	const char *separator = internal_separator(link);
	const char *const parts[] = {"mm2-offset-syncs", separator, alias, separator, "internal"};
	return put_name(out, parts, 5);
}

enum err naming_checkpoints_topic(const struct link_config *link, char out[TOPIC_NAME_MAX + 1])
{
	const char *separator = internal_separator(link);
	const char *const parts[] = {link->source->name, separator, "checkpoints", separator,
				     "internal"};
	return put_name(out, parts, 5);
}
