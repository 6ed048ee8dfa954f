module example.com/dateline

go 1.23

require (
	github.com/google/uuid v1.6.0
	google.golang.org/grpc v1.71.0
	google.golang.org/protobuf v1.36.6
)
