/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every error of Farshore, one line each: X(name, Kafka code or ERR_NO_CODE, retriable, text).
 * The first block is ours; the second is Kafka's table (Apache Kafka 4.1, Errors.java), same names
 * and codes. "Retriable" means: the same request may succeed later, perhaps at another broker.
 */
/* clang-format off */
#define ERR_OURS(X) \
	X(OK,               ERR_NO_CODE, false, "ok") \
	X(NOMEM,            ERR_NO_CODE, true,  "out of memory") \
	X(CONFIG,           ERR_NO_CODE, false, "bad configuration") \
	X(IO,               ERR_NO_CODE, true,  "input/output error") \
	X(DNS,              ERR_NO_CODE, true,  "host name not resolved") \
	X(CONNECT,          ERR_NO_CODE, true,  "cannot connect") \
	X(TLS,              ERR_NO_CODE, true,  "TLS error") \
	X(AUTH,             ERR_NO_CODE, true,  "authentication failed") \
	X(CLOSED,           ERR_NO_CODE, true,  "connection closed") \
	X(TIMEOUT,          ERR_NO_CODE, true,  "timed out") \
	X(CANCELED,         ERR_NO_CODE, false, "canceled") \
	X(MALFORMED,        ERR_NO_CODE, false, "malformed data") \
	X(LIMIT,            ERR_NO_CODE, false, "over a limit") \
	X(CORRUPT,          ERR_NO_CODE, false, "checksum mismatch") \
	X(UNSUPPORTED,      ERR_NO_CODE, false, "not supported") \
	X(NOT_FOUND,        ERR_NO_CODE, false, "not found") \
	X(NO_LEADER,        ERR_NO_CODE, true,  "no leader known")

#define ERR_KAFKA(X) \
	X(KAFKA_UNKNOWN_SERVER_ERROR, -1, false, "unknown server error") \
	X(KAFKA_OFFSET_OUT_OF_RANGE, 1, false, "offset out of range") \
	X(KAFKA_CORRUPT_MESSAGE, 2, true, "corrupt message") \
	X(KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 3, true, "unknown topic or partition") \
	X(KAFKA_INVALID_FETCH_SIZE, 4, false, "invalid fetch size") \
	X(KAFKA_LEADER_NOT_AVAILABLE, 5, true, "leader not available") \
	X(KAFKA_NOT_LEADER_OR_FOLLOWER, 6, true, "not leader or follower") \
	X(KAFKA_REQUEST_TIMED_OUT, 7, true, "request timed out") \
	X(KAFKA_BROKER_NOT_AVAILABLE, 8, false, "broker not available") \
	X(KAFKA_REPLICA_NOT_AVAILABLE, 9, true, "replica not available") \
	X(KAFKA_MESSAGE_TOO_LARGE, 10, false, "message too large") \
	X(KAFKA_STALE_CONTROLLER_EPOCH, 11, false, "stale controller epoch") \
	X(KAFKA_OFFSET_METADATA_TOO_LARGE, 12, false, "offset metadata too large") \
	X(KAFKA_NETWORK_EXCEPTION, 13, true, "network exception") \
	X(KAFKA_COORDINATOR_LOAD_IN_PROGRESS, 14, true, "coordinator load in progress") \
	X(KAFKA_COORDINATOR_NOT_AVAILABLE, 15, true, "coordinator not available") \
	X(KAFKA_NOT_COORDINATOR, 16, true, "not coordinator") \
	X(KAFKA_INVALID_TOPIC_EXCEPTION, 17, false, "invalid topic exception") \
	X(KAFKA_RECORD_LIST_TOO_LARGE, 18, false, "record list too large") \
	X(KAFKA_NOT_ENOUGH_REPLICAS, 19, true, "not enough replicas") \
	X(KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND, 20, true, "not enough replicas after append") \
	X(KAFKA_INVALID_REQUIRED_ACKS, 21, false, "invalid required acks") \
	X(KAFKA_ILLEGAL_GENERATION, 22, false, "illegal generation") \
	X(KAFKA_INCONSISTENT_GROUP_PROTOCOL, 23, false, "inconsistent group protocol") \
	X(KAFKA_INVALID_GROUP_ID, 24, false, "invalid group id") \
	X(KAFKA_UNKNOWN_MEMBER_ID, 25, false, "unknown member id") \
	X(KAFKA_INVALID_SESSION_TIMEOUT, 26, false, "invalid session timeout") \
	X(KAFKA_REBALANCE_IN_PROGRESS, 27, false, "rebalance in progress") \
	X(KAFKA_INVALID_COMMIT_OFFSET_SIZE, 28, false, "invalid commit offset size") \
	X(KAFKA_TOPIC_AUTHORIZATION_FAILED, 29, false, "topic authorization failed") \
	X(KAFKA_GROUP_AUTHORIZATION_FAILED, 30, false, "group authorization failed") \
	X(KAFKA_CLUSTER_AUTHORIZATION_FAILED, 31, false, "cluster authorization failed") \
	X(KAFKA_INVALID_TIMESTAMP, 32, false, "invalid timestamp") \
	X(KAFKA_UNSUPPORTED_SASL_MECHANISM, 33, false, "unsupported sasl mechanism") \
	X(KAFKA_ILLEGAL_SASL_STATE, 34, false, "illegal sasl state") \
	X(KAFKA_UNSUPPORTED_VERSION, 35, false, "unsupported version") \
	X(KAFKA_TOPIC_ALREADY_EXISTS, 36, false, "topic already exists") \
	X(KAFKA_INVALID_PARTITIONS, 37, false, "invalid partitions") \
	X(KAFKA_INVALID_REPLICATION_FACTOR, 38, false, "invalid replication factor") \
	X(KAFKA_INVALID_REPLICA_ASSIGNMENT, 39, false, "invalid replica assignment") \
	X(KAFKA_INVALID_CONFIG, 40, false, "invalid config") \
	X(KAFKA_NOT_CONTROLLER, 41, true, "not controller") \
	X(KAFKA_INVALID_REQUEST, 42, false, "invalid request") \
	X(KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT, 43, false, "unsupported for message format") \
	X(KAFKA_POLICY_VIOLATION, 44, false, "policy violation") \
	X(KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER, 45, false, "out of order sequence number") \
	X(KAFKA_DUPLICATE_SEQUENCE_NUMBER, 46, false, "duplicate sequence number") \
	X(KAFKA_INVALID_PRODUCER_EPOCH, 47, false, "invalid producer epoch") \
	X(KAFKA_INVALID_TXN_STATE, 48, false, "invalid txn state") \
	X(KAFKA_INVALID_PRODUCER_ID_MAPPING, 49, false, "invalid producer id mapping") \
	X(KAFKA_INVALID_TRANSACTION_TIMEOUT, 50, false, "invalid transaction timeout") \
	X(KAFKA_CONCURRENT_TRANSACTIONS, 51, true, "concurrent transactions") \
	X(KAFKA_TRANSACTION_COORDINATOR_FENCED, 52, false, "transaction coordinator fenced") \
	X(KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 53, false, "transactional id authorization failed") \
	X(KAFKA_SECURITY_DISABLED, 54, false, "security disabled") \
	X(KAFKA_OPERATION_NOT_ATTEMPTED, 55, false, "operation not attempted") \
	X(KAFKA_KAFKA_STORAGE_ERROR, 56, true, "kafka storage error") \
	X(KAFKA_LOG_DIR_NOT_FOUND, 57, false, "log dir not found") \
	X(KAFKA_SASL_AUTHENTICATION_FAILED, 58, false, "sasl authentication failed") \
	X(KAFKA_UNKNOWN_PRODUCER_ID, 59, false, "unknown producer id") \
	X(KAFKA_REASSIGNMENT_IN_PROGRESS, 60, false, "reassignment in progress") \
	X(KAFKA_DELEGATION_TOKEN_AUTH_DISABLED, 61, false, "delegation token auth disabled") \
	X(KAFKA_DELEGATION_TOKEN_NOT_FOUND, 62, false, "delegation token not found") \
	X(KAFKA_DELEGATION_TOKEN_OWNER_MISMATCH, 63, false, "delegation token owner mismatch") \
	X(KAFKA_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, 64, false, "delegation token request not allowed") \
	X(KAFKA_DELEGATION_TOKEN_AUTHORIZATION_FAILED, 65, false, "delegation token authorization failed") \
	X(KAFKA_DELEGATION_TOKEN_EXPIRED, 66, false, "delegation token expired") \
	X(KAFKA_INVALID_PRINCIPAL_TYPE, 67, false, "invalid principal type") \
	X(KAFKA_NON_EMPTY_GROUP, 68, false, "non empty group") \
	X(KAFKA_GROUP_ID_NOT_FOUND, 69, false, "group id not found") \
	X(KAFKA_FETCH_SESSION_ID_NOT_FOUND, 70, true, "fetch session id not found") \
	X(KAFKA_INVALID_FETCH_SESSION_EPOCH, 71, true, "invalid fetch session epoch") \
	X(KAFKA_LISTENER_NOT_FOUND, 72, true, "listener not found") \
	X(KAFKA_TOPIC_DELETION_DISABLED, 73, false, "topic deletion disabled") \
	X(KAFKA_FENCED_LEADER_EPOCH, 74, true, "fenced leader epoch") \
	X(KAFKA_UNKNOWN_LEADER_EPOCH, 75, true, "unknown leader epoch") \
	X(KAFKA_UNSUPPORTED_COMPRESSION_TYPE, 76, false, "unsupported compression type") \
	X(KAFKA_STALE_BROKER_EPOCH, 77, false, "stale broker epoch") \
	X(KAFKA_OFFSET_NOT_AVAILABLE, 78, true, "offset not available") \
	X(KAFKA_MEMBER_ID_REQUIRED, 79, false, "member id required") \
	X(KAFKA_PREFERRED_LEADER_NOT_AVAILABLE, 80, true, "preferred leader not available") \
	X(KAFKA_GROUP_MAX_SIZE_REACHED, 81, false, "group max size reached") \
	X(KAFKA_FENCED_INSTANCE_ID, 82, false, "fenced instance id") \
	X(KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE, 83, true, "eligible leaders not available") \
	X(KAFKA_ELECTION_NOT_NEEDED, 84, true, "election not needed") \
	X(KAFKA_NO_REASSIGNMENT_IN_PROGRESS, 85, false, "no reassignment in progress") \
	X(KAFKA_GROUP_SUBSCRIBED_TO_TOPIC, 86, false, "group subscribed to topic") \
	X(KAFKA_INVALID_RECORD, 87, false, "invalid record") \
	X(KAFKA_UNSTABLE_OFFSET_COMMIT, 88, true, "unstable offset commit") \
	X(KAFKA_THROTTLING_QUOTA_EXCEEDED, 89, true, "throttling quota exceeded") \
	X(KAFKA_PRODUCER_FENCED, 90, false, "producer fenced") \
	X(KAFKA_RESOURCE_NOT_FOUND, 91, false, "resource not found") \
	X(KAFKA_DUPLICATE_RESOURCE, 92, false, "duplicate resource") \
	X(KAFKA_UNACCEPTABLE_CREDENTIAL, 93, false, "unacceptable credential") \
	X(KAFKA_INCONSISTENT_VOTER_SET, 94, false, "inconsistent voter set") \
	X(KAFKA_INVALID_UPDATE_VERSION, 95, false, "invalid update version") \
	X(KAFKA_FEATURE_UPDATE_FAILED, 96, false, "feature update failed") \
	X(KAFKA_PRINCIPAL_DESERIALIZATION_FAILURE, 97, false, "principal deserialization failure") \
	X(KAFKA_SNAPSHOT_NOT_FOUND, 98, false, "snapshot not found") \
	X(KAFKA_POSITION_OUT_OF_RANGE, 99, false, "position out of range") \
	X(KAFKA_UNKNOWN_TOPIC_ID, 100, true, "unknown topic id") \
	X(KAFKA_DUPLICATE_BROKER_REGISTRATION, 101, false, "duplicate broker registration") \
	X(KAFKA_BROKER_ID_NOT_REGISTERED, 102, false, "broker id not registered") \
	X(KAFKA_INCONSISTENT_TOPIC_ID, 103, true, "inconsistent topic id") \
	X(KAFKA_INCONSISTENT_CLUSTER_ID, 104, false, "inconsistent cluster id") \
	X(KAFKA_TRANSACTIONAL_ID_NOT_FOUND, 105, false, "transactional id not found") \
	X(KAFKA_FETCH_SESSION_TOPIC_ID_ERROR, 106, true, "fetch session topic id error") \
	X(KAFKA_INELIGIBLE_REPLICA, 107, false, "ineligible replica") \
	X(KAFKA_NEW_LEADER_ELECTED, 108, false, "new leader elected") \
	X(KAFKA_OFFSET_MOVED_TO_TIERED_STORAGE, 109, false, "offset moved to tiered storage") \
	X(KAFKA_FENCED_MEMBER_EPOCH, 110, false, "fenced member epoch") \
	X(KAFKA_UNRELEASED_INSTANCE_ID, 111, false, "unreleased instance id") \
	X(KAFKA_UNSUPPORTED_ASSIGNOR, 112, false, "unsupported assignor") \
	X(KAFKA_STALE_MEMBER_EPOCH, 113, false, "stale member epoch") \
	X(KAFKA_MISMATCHED_ENDPOINT_TYPE, 114, false, "mismatched endpoint type") \
	X(KAFKA_UNSUPPORTED_ENDPOINT_TYPE, 115, false, "unsupported endpoint type") \
	X(KAFKA_UNKNOWN_CONTROLLER_ID, 116, false, "unknown controller id") \
	X(KAFKA_UNKNOWN_SUBSCRIPTION_ID, 117, false, "unknown subscription id") \
	X(KAFKA_TELEMETRY_TOO_LARGE, 118, false, "telemetry too large") \
	X(KAFKA_INVALID_REGISTRATION, 119, false, "invalid registration") \
	X(KAFKA_TRANSACTION_ABORTABLE, 120, false, "transaction abortable") \
	X(KAFKA_INVALID_RECORD_STATE, 121, false, "invalid record state") \
	X(KAFKA_SHARE_SESSION_NOT_FOUND, 122, true, "share session not found") \
	X(KAFKA_INVALID_SHARE_SESSION_EPOCH, 123, true, "invalid share session epoch") \
	X(KAFKA_FENCED_STATE_EPOCH, 124, false, "fenced state epoch") \
	X(KAFKA_INVALID_VOTER_KEY, 125, false, "invalid voter key") \
	X(KAFKA_DUPLICATE_VOTER, 126, false, "duplicate voter") \
	X(KAFKA_VOTER_NOT_FOUND, 127, false, "voter not found") \
	X(KAFKA_INVALID_REGULAR_EXPRESSION, 128, false, "invalid regular expression") \
	X(KAFKA_REBOOTSTRAP_REQUIRED, 129, false, "rebootstrap required") \
	X(KAFKA_STREAMS_INVALID_TOPOLOGY, 130, false, "streams invalid topology") \
	X(KAFKA_STREAMS_INVALID_TOPOLOGY_EPOCH, 131, false, "streams invalid topology epoch") \
	X(KAFKA_STREAMS_TOPOLOGY_FENCED, 132, false, "streams topology fenced") \
	X(KAFKA_SHARE_SESSION_LIMIT_REACHED, 133, true, "share session limit reached")
/* clang-format on */
