// What an error says beyond its code: the reason to act on, and the violations. gRPC carries them as a
// google.rpc.Status in the trailer `grpc-status-details-bin`, which grpc-js leaves to its callers.
'use strict';

const protobuf = require('protobufjs');

// The parts of google/rpc/status.proto and google/rpc/error_details.proto that are read here.
const types = protobuf.parse(`
  syntax = "proto3";
  package google.rpc;
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
  message BadRequest {
    message FieldViolation { string field = 1; string description = 2; string reason = 3; }
    repeated FieldViolation field_violations = 1;
  }
`).root;

// The details of one type, such as "google.rpc.ErrorInfo".
function details(error, type) {
  const [packed] = error.metadata?.get('grpc-status-details-bin') ?? [];
  if (!packed) return [];
  return types
    .lookupType('google.rpc.Status')
    .decode(packed)
    .details.filter((detail) => detail.typeUrl.endsWith(`/${type}`))
    .map((detail) => types.lookupType(type).decode(detail.value));
}

const reason = (error) => details(error, 'google.rpc.ErrorInfo')[0]?.reason ?? 'no reason given';

const violations = (error) => details(error, 'google.rpc.BadRequest').flatMap((bad) => bad.fieldViolations);

module.exports = { reason, violations };
