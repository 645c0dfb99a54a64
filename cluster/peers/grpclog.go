package peers

import (
	"fmt"
	"strings"

	"google.golang.org/grpc/grpclog"

	"rollcall/cluster/complaints"
)

// grpcLog writes gRPC's warnings and errors, each kind once a minute and cut:
// they may quote what a stranger has sent.
type grpcLog struct{ complaints *complaints.Log }

var _ grpclog.LoggerV2 = (*grpcLog)(nil)

func (l *grpcLog) say(text string) {
	kind, _, _ := strings.Cut(text, ": ")
	if len(kind) > 40 {
		kind = kind[:40]
	}
	l.complaints.Say(kind, "gRPC", "text", complaints.Cut(strings.TrimSpace(text)))
}

// V says which of gRPC's details are wanted: none.
func (*grpcLog) V(int) bool { return false }

// Infos are not wanted.
func (*grpcLog) Info(...any)          {}
func (*grpcLog) Infoln(...any)        {}
func (*grpcLog) Infof(string, ...any) {}

// Warnings and errors are of one kind: gRPC goes on after both.
func (l *grpcLog) Warning(args ...any)               { l.say(fmt.Sprint(args...)) }
func (l *grpcLog) Warningln(args ...any)             { l.say(fmt.Sprintln(args...)) }
func (l *grpcLog) Warningf(format string, a ...any)  { l.say(fmt.Sprintf(format, a...)) }
func (l *grpcLog) Error(args ...any)                 { l.say(fmt.Sprint(args...)) }
func (l *grpcLog) Errorln(args ...any)               { l.say(fmt.Sprintln(args...)) }
func (l *grpcLog) Errorf(format string, args ...any) { l.say(fmt.Sprintf(format, args...)) }

// Fatals are mistakes in how gRPC was set up.
func (l *grpcLog) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (l *grpcLog) Fatalln(args ...any)               { panic(fmt.Sprintln(args...)) }
func (l *grpcLog) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
