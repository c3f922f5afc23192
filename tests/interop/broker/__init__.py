# SPDX-License-Identifier: Apache-2.0
"""Unmodified clients against farshore-broker; against Apache Kafka, to know that they are right."""
