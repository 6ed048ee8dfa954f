//! Exports as a stream of encoded records, which the caller may pass on as bytes or decode.

use bytes::Bytes;
use dateline_proto::{
    EXPORT_METHOD,
    v1::{ExportBegin, ExportRequest, Reference, Removal},
};
use tonic::{Request, Status, Streaming, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;

use super::{Client, MAX_RESPONSE_BYTES};

/// An [`ExportResponse`](dateline_proto::v1::ExportResponse) in which each record is the bytes that the server sent.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EncodedExportResponse {
    /// Encoded `Record`s, in the order of names.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub records: Vec<Bytes>,
    /// Records that are no longer part of the export.
    #[prost(message, repeated, tag = "2")]
    pub removed: Vec<Removal>,
    /// Cursor to resume after this response.
    #[prost(string, tag = "3")]
    pub cursor: String,
    /// Set in the first response of every stream.
    #[prost(message, optional, tag = "4")]
    pub begin: Option<ExportBegin>,
    /// True in the last response.
    #[prost(bool, tag = "5")]
    pub complete: bool,
    /// The records that those of this response refer to, on request.
    #[prost(message, repeated, tag = "6")]
    pub references: Vec<Reference>,
}

impl Client {
    /// Requests an export with encoded records.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn export_encoded(
        &self,
        request: ExportRequest,
    ) -> Result<Streaming<EncodedExportResponse>, Status> {
        let mut grpc =
            Grpc::new(self.authenticated.clone()).max_decoding_message_size(MAX_RESPONSE_BYTES);
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<ExportRequest, EncodedExportResponse>::default();
        let method = PathAndQuery::from_static(EXPORT_METHOD);
        let response = grpc.server_streaming(Request::new(request), method, codec);
        Ok(response.await?.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_reflect::ReflectMessage;

    use super::*;
    use dateline_proto::v1::{Actor, ExportResponse, Record, record::Kind as Body};

    #[test]
    fn a_part_says_what_the_response_says() {
        let record = Record::from(Body::Actor(Actor {
            name: "actors/nato".into(),
            ..Actor::default()
        }));
        let response = ExportResponse {
            records: vec![record.clone()],
            removed: vec![Removal {
                name: "actors/who".into(),
                ..Removal::default()
            }],
            cursor: "c".into(),
            begin: Some(ExportBegin {
                sequence: 3,
                ..ExportBegin::default()
            }),
            complete: true,
            references: vec![Reference {
                name: "actors/who".into(),
                ..Reference::default()
            }],
        };
        let known = response.descriptor().fields().count();
        let encoded = response.encode_to_vec();
        let part = EncodedExportResponse::decode(encoded.as_slice()).unwrap();
        assert_eq!(part.records, [record.encode_to_vec()]);
        assert_eq!(part.encode_to_vec(), encoded);
        assert_eq!(known, 6, "a new field of the schema belongs here too");
    }
}
