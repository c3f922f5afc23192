/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AlterConfigs, the old form: what is set for a resource becomes exactly what the request names,
 * and everything else goes back to its default.
 */
#include "cluster/api.h"
#include "cluster/api/alter.h"
#include "cluster/broker.h"
#include "lib/wire/messages.h"

static const struct metadata_alter_op *
new_ops(struct request *r, const struct alter_configs_request_alter_configs_resource *in)
{
	struct metadata_alter_op *ops = arena_zalloc(&r->arena, (size_t)in->configs_n, sizeof *ops);

	for (int32_t i = 0; i < in->configs_n && ops != NULL; i++)
		ops[i] = (struct metadata_alter_op){.name = in->configs[i].name,
						    .value = in->configs[i].value,
						    .op = 0 /* set */};
	return ops;
}

static bool put_item(struct request *r,
		     const struct alter_configs_request_alter_configs_resource *in,
		     struct alter_configs_response_alter_configs_resource_response *out,
		     struct alter_item *item)
{
	out->resource_type = in->resource_type;
	out->resource_name = in->resource_name;
	*item = (struct alter_item){
		.alter = {.resource_type = in->resource_type,
			  .resource = in->resource_name,
			  .replace = true,
			  .ops = new_ops(r, in),
			  .ops_n = (size_t)in->configs_n},
		.error_code = &out->error_code,
		.error_message = &out->error_message,
	};
	return item->alter.ops != NULL;
}

void api_alter_configs(struct request *r)
{
	const struct alter_configs_request *in = r->msg;
	const struct wire_struct *s = &wire_alter_configs_response_alter_configs_resource_response;
	struct alter_configs_response *out = request_response(r);
	struct alter_item *items = arena_zalloc(&r->arena, (size_t)in->resources_n, sizeof *items);
	bool ok = out != NULL && items != NULL;

	if (ok)
		out->responses = wire_array_new(&r->arena, s, in->resources_n);
	ok = ok && out->responses != NULL;
	for (int32_t i = 0; i < in->resources_n && ok; i++)
		ok = put_item(r, &in->resources[i], &out->responses[out->responses_n++], &items[i]);
	if (ok)
		alter_run(r, out, items, (size_t)in->resources_n, in->validate_only);
	else
		request_no_memory(r);
}
