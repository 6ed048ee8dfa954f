// One article and an actor that it tells of: in, published, read back, and followed on the wire.
//
//	go run . [HOST:PORT]
//
// Safe to run again: a second run finds what is there.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "example.com/dateline/gen/dateline/v1"
)

const (
	articleName = "articles/go-example"
	actorName   = "actors/go-example-port-authority"
	authority   = "Sandvik Port Authority"
	// Quotes refer to the text in NFC, which this is; golang.org/x/text/unicode/norm sees to others.
	body = "SANDVIK - The Sandvik Port Authority reopened the harbour on Monday, two days after the storm.\n\n" +
		"“Every berth is in use again,” it said."

	// UNAVAILABLE means "try again", and gRPC can do so by itself. A write is sent again with the same
	// request_id, so it happens once however often it is sent.
	retries = `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.2s",
		"maxBackoff": "2s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`
)

func article() *pb.Record {
	return &pb.Record{Kind: &pb.Record_Article{Article: &pb.Article{
		Name:         articleName,
		Headline:     "Sandvik Harbour Reopens After Storm",
		Body:         body,
		LanguageCode: "en",
		Sources:      []*pb.SourceCredit{{DisplayName: authority, Actor: actorName}},
	}}}
}

// The actor, with the words of the article that say so: nothing is published without its source.
func actor() *pb.Record {
	// Offsets count code points, not bytes.
	start := int32(utf8.RuneCountInString(body[:strings.Index(body, authority)]))
	end := start + int32(utf8.RuneCountInString(authority))
	return &pb.Record{Kind: &pb.Record_Actor{Actor: &pb.Actor{
		Name:        actorName,
		Type:        pb.Actor_TYPE_GOVERNMENT_BODY,
		DisplayName: authority,
		Names:       []*pb.Name{{Text: authority, LanguageCode: "en", Type: pb.Name_TYPE_FULL}},
		Evidence: []*pb.Evidence{{
			Article:         articleName,
			ArticleRevision: 1,
			Quote:           &pb.TextSpan{Part: pb.TextSpan_PART_BODY, Start: start, End: end, Exact: authority},
			Supports:        []string{"names"},
			Modality:        pb.Evidence_MODALITY_ASSERTED,
		}},
	}}}
}

// What every kind of record has.
type content interface {
	GetName() string
	GetMeta() *pb.RecordMeta
}

// The article, actor, relation or event in a Record.
func contentOf(record *pb.Record) content {
	switch kind := record.Kind.(type) {
	case *pb.Record_Article:
		return kind.Article
	case *pb.Record_Actor:
		return kind.Actor
	case *pb.Record_Relation:
		return kind.Relation
	case *pb.Record_Event:
		return kind.Event
	}
	// A kind that is newer than this program: without a name or a meta.
	return (*pb.Article)(nil)
}

// Makes drafts of the records that are not there yet, all of them or none.
func createWhatIsMissing(ctx context.Context, conn *grpc.ClientConn) ([]*pb.Record, error) {
	wanted := map[string]*pb.Record{articleName: article(), actorName: actor()}
	there, err := pb.NewRecordServiceClient(conn).BatchGetRecords(ctx, &pb.BatchGetRecordsRequest{
		Names: []string{articleName, actorName},
		View:  pb.View_VIEW_DESK,
	})
	if err != nil {
		return nil, err
	}
	fmt.Printf("created %d, found %d\n", len(there.Missing), len(there.Records))
	if len(there.Missing) == 0 {
		return there.Records, nil
	}
	commit := &pb.CommitRequest{RequestId: uuid.NewString()}
	for _, name := range there.Missing {
		create := &pb.Write_Create_{Create: &pb.Write_Create{Record: wanted[name]}}
		commit.Writes = append(commit.Writes, &pb.Write{Action: create})
	}
	answer, err := pb.NewEditorialServiceClient(conn).Commit(ctx, commit)
	if err != nil {
		return nil, err
	}
	return append(there.Records, answer.Records...), nil
}

// Publishes as one batch what is a draft. The etag says which revision was looked at.
func publishDrafts(ctx context.Context, conn *grpc.ClientConn, records []*pb.Record) error {
	publish := &pb.PublishRecordsRequest{RequestId: uuid.NewString()}
	for _, record := range records {
		if content := contentOf(record); content.GetMeta().GetState() == pb.State_STATE_DRAFT {
			version := &pb.RecordVersion{Name: content.GetName(), Etag: content.GetMeta().GetEtag()}
			publish.Records = append(publish.Records, version)
		}
	}
	fmt.Printf("published %d\n", len(publish.Records))
	if len(publish.Records) == 0 {
		return nil
	}
	_, err := pb.NewEditorialServiceClient(conn).PublishRecords(ctx, publish)
	return err
}

// Reads as the public does.
func readBack(ctx context.Context, conn *grpc.ClientConn) error {
	read, err := pb.NewRecordServiceClient(conn).GetRecord(ctx, &pb.GetRecordRequest{Name: actorName})
	if err != nil {
		return err
	}
	fmt.Printf("read %s: %s\n", actorName, read.GetRecord().GetActor().GetDisplayName())
	return nil
}

// Every error has one reason to act on, and a bad record every violation.
func makeAMistake(ctx context.Context, conn *grpc.ClientConn) {
	wrong := &pb.Actor{Name: actorName, RegionCode: "Norway"}
	_, err := pb.NewRecordServiceClient(conn).CreateRecord(ctx, &pb.CreateRecordRequest{
		Record:       &pb.Record{Kind: &pb.Record_Actor{Actor: wrong}},
		ValidateOnly: true,
	})
	refusal := status.Convert(err)
	for _, detail := range refusal.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			fmt.Printf("refused: %s %s\n", refusal.Code(), detail.GetReason())
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				fmt.Printf("  %s: %s\n", violation.GetField(), violation.GetDescription())
			}
		}
	}
}

// Hands over responses of the wire that name our actor, until `take` has had enough: from the beginning, or
// right after a cursor. Connects again from the last cursor when the server goes away. A consumer that stores
// the cursor together with the effects of the changes takes in each change once.
func follow(ctx context.Context, conn *grpc.ClientConn, cursor string, take func(*pb.WatchResponse) bool) error {
	for {
		request := &pb.WatchRequest{
			Filter: &pb.RecordFilter{Actors: []string{actorName}},
			Start:  &pb.WatchRequest_Origin{Origin: pb.Origin_ORIGIN_BEGINNING},
		}
		if cursor != "" {
			request.Start = &pb.WatchRequest_Cursor{Cursor: cursor}
		}
		enough, err := stream(ctx, conn, request, &cursor, take)
		if enough {
			return nil
		}
		if status.Code(err) != codes.Unavailable {
			return err
		}
		time.Sleep(time.Second)
	}
}

// One stream, to its end or until `take` has had enough.
func stream(
	ctx context.Context, conn *grpc.ClientConn, request *pb.WatchRequest,
	cursor *string, take func(*pb.WatchResponse) bool,
) (bool, error) {
	// Ends the stream, however this function is left.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	responses, err := pb.NewFeedServiceClient(conn).Watch(ctx, request)
	if err != nil {
		return false, err
	}
	for {
		response, err := responses.Recv()
		if err != nil {
			return false, err
		}
		*cursor = response.Cursor
		if take(response) {
			return true, nil
		}
	}
}

func watch(ctx context.Context, conn *grpc.ClientConn) error {
	missing, cursor := map[string]bool{articleName: true, actorName: true}, ""
	err := follow(ctx, conn, "", func(response *pb.WatchResponse) bool {
		for _, change := range response.Changes {
			fmt.Printf("wire: %s %s\n", change.Type, change.Name)
			delete(missing, change.Name)
		}
		cursor = response.Cursor
		return len(missing) == 0
	})
	if err != nil {
		return err
	}
	// As if we had been away. The first response of a stream says where it stands.
	return follow(ctx, conn, cursor, func(first *pb.WatchResponse) bool {
		fmt.Printf("resumed after sequence %d, %d changes came twice\n",
			first.GetCheckpoint().GetSequence(), len(first.Changes))
		return true
	})
}

func run(server string) error {
	conn, err := grpc.NewClient(server,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(retries))
	if err != nil {
		return err
	}
	defer conn.Close()
	// For all calls of this example. A consumer's stream has no deadline: it is meant to stay.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	records, err := createWhatIsMissing(ctx, conn)
	if err != nil {
		return err
	}
	if err := publishDrafts(ctx, conn, records); err != nil {
		return err
	}
	if err := readBack(ctx, conn); err != nil {
		return err
	}
	makeAMistake(ctx, conn)
	return watch(ctx, conn)
}

func main() {
	server := "127.0.0.1:7400"
	if given := os.Getenv("DATELINE_SERVER"); given != "" {
		server = given
	}
	if len(os.Args) > 1 {
		server = os.Args[1]
	}
	if err := run(server); err != nil {
		log.Fatal(err)
	}
}
