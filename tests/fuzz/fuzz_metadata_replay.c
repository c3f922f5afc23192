/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A metadata log as a hostile disk may hold it: records with a length of two bytes before each,
 * applied one after the other. An error ends a replay, as it ends a start. At every step the
 * image holds together: topics are found by name and by id and stand in order, partitions count
 * from 0.
 */
#include <stdlib.h>

#include "cluster/metadata/image.h"
#include "fake_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check_topic(const struct image *im, size_t at)
{
	const struct image_topic *it = im->sorted[at];

	must(image_find(im, bytes_str(it->name)) == it);
	must(image_find_id(im, &it->t.id) == it);
	must(image_position(im, bytes_str(it->name)) == at);
	must(metadata_name_fault(bytes_str(it->name)) == NULL);
	must(at == 0 || strcmp(im->sorted[at - 1]->name, it->name) < 0);
	for (int32_t i = 0; i < it->t.partitions_n; i++) {
		const struct partition *p = &it->t.partitions[i];
		must(p->topic == &it->t && p->index == i && p->leader_epoch >= 0);
		must(p->leader == im->node_id || p->leader == -1);
	}
}

static void check(const struct image *im)
{
	must(map_count(im->by_name) == im->topics_n && map_count(im->by_id) == im->topics_n);
	for (size_t i = 0; i < im->topics_n; i++)
		check_topic(im, i);
	must(im->broker_epoch <= im->offset && im->next_producer_id >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plog_config c;
	struct image im;
	struct errmsg why = {{0}};
	int64_t offset = 0;

	plog_config_init(&c);
	must(image_init(&im, 1, &c) == ERR_OK);
	must(image_remember_removed(&im) == ERR_OK);
	while (size >= 2) {
		size_t n = be16_get(data);
		n = n < size - 2 ? n : size - 2;
		enum err e = image_apply(&im, offset, bytes_of(data + 2, n), &why);
		must((im.offset == offset) == (e == ERR_OK));
		check(&im);
		if (e != ERR_OK) {
			must(why.text[0] != 0 || e == ERR_NOMEM);
			break;
		}
		offset++;
		data += 2 + n;
		size -= 2 + n;
	}
	image_fini(&im);
	return 0;
}
