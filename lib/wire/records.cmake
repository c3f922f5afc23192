# SPDX-License-Identifier: Apache-2.0
# The record batches of lib/wire: no generated code, so that it builds alone.
farshore_library(wire_records
  SOURCES batch.c batch_builder.c codec.c codec_gzip.c codec_lz4.c codec_snappy.c codec_zstd.c crc32c.c rebatch.c
    record.c records.c
  DEPS base PkgConfig::libisal PkgConfig::libzstd PkgConfig::liblz4 PkgConfig::zlib ${SNAPPY_LIBRARY})
target_link_libraries(wire INTERFACE wire_records)
