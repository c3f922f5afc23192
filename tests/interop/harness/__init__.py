# SPDX-License-Identifier: Apache-2.0
"""What the interop tests and the benchmark stand on: brokers, mirrors, proxies, comparison."""
