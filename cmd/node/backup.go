package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/gateway"
	"rollcall/persistence"
)

// Backup are the flags of node backup.
type Backup struct {
	Admin   []string `default:"http://127.0.0.1:8081" env:"ROLLCALL_ADMIN" help:"URL of a running node's administration (--admin-listen). Repeat it for every node of a cluster: the file then has a part of each."`
	All     bool     `help:"Fail unless every live member that keeps users is among --admin."`
	Data    string   `placeholder:"DIR" help:"Instead: the data directory of a node that is stopped."`
	Cluster string   `help:"With --data: name of the cluster, to be noted in the backup."`
	Output  string   `short:"o" required:"" placeholder:"FILE" help:"File to write, which must not exist; - is the standard output."`
}

// Run writes the backup; remarks go to the standard error.
func (b *Backup) Run(ctx context.Context) error { return b.run(ctx, os.Stdout, os.Stderr) }

func (b *Backup) run(ctx context.Context, stdout, stderr io.Writer) error {
	if b.Data != "" && b.All {
		return errors.New("--all is for running nodes: give their --admin, or leave it out")
	}
	out, err := b.create(stdout)
	if err != nil {
		return err
	}
	m := newMeter(stderr)
	if b.Data != "" {
		err = b.stopped(ctx, out, m)
	} else {
		err = b.running(ctx, out, m)
	}
	return out.end(err)
}

// output is the file while it is not whole: under another name, so that half a
// backup is never taken for one.
type output struct {
	*bufio.Writer
	file *os.File // nil: the standard output
	name string
}

const outputBuffer = 256 << 10

const partial = ".partial"

func (b *Backup) create(stdout io.Writer) (*output, error) {
	if b.Output == "-" {
		return &output{Writer: bufio.NewWriterSize(stdout, outputBuffer)}, nil
	}
	if _, err := os.Lstat(b.Output); err == nil {
		return nil, fmt.Errorf("-o %s: there is such a file, name another one", b.Output)
	}
	f, err := os.OpenFile(b.Output+partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s%s is there, of a backup under way or one that was cut off: remove it, or name another file with -o", b.Output, partial)
	}
	if err != nil {
		return nil, fmt.Errorf("-o: %w", err)
	}
	return &output{Writer: bufio.NewWriterSize(f, outputBuffer), file: f, name: b.Output}, nil
}

// end gives a whole backup its name and removes half of one.
func (o *output) end(err error) error {
	if err == nil {
		err = o.Flush()
	}
	if o.file == nil {
		return err
	}
	if err == nil {
		err = o.file.Sync()
	}
	err = errors.Join(err, o.file.Close())
	if err == nil {
		err = os.Rename(o.name+partial, o.name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(o.name+partial))
	}
	dir, err := os.Open(filepath.Dir(o.name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// stopped reads a directory that no node uses.
func (b *Backup) stopped(ctx context.Context, out io.Writer, m *meter) error {
	flags := ClusterFlags{Cluster: b.Cluster}
	if b.Cluster != "" {
		if err := flags.check(); err != nil {
			return err
		}
	}
	s, err := persistence.OpenExisting(persistence.Config{Dir: b.Data, Ballast: -1, Fatal: func(error) {}})
	if err != nil {
		return err
	}
	head := persistence.BackupHead{Cluster: b.Cluster, Part: 1, Of: 1}
	count, err := s.Backup(ctx, out, head, func(c persistence.BackupCount) {
		m.show("%d users, %s", c.Users, size(c.Bytes))
	})
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	m.say("%s: %d users, %d policies, %s in %s", b.Data, count.Users, count.Policies, size(count.Bytes), m.since())
	return nil
}

// source is a node that is asked for its part.
type source struct {
	Operator
	report gateway.ClusterReport
}

// running asks every node for its part, one after the other.
func (b *Backup) running(ctx context.Context, out io.Writer, m *meter) error {
	sources, err := meet(ctx, b.Admin)
	if err != nil {
		return err
	}
	if missing := absent(sources); len(missing) > 0 {
		text := fmt.Sprintf("not in this backup: %s", strings.Join(missing, ", "))
		if b.All {
			return fmt.Errorf("%s: name the --admin of each as well, or leave out --all", text)
		}
		m.say("%s. What only they have is missing; of each change two nodes have it, unless --ack was 1", plain(text))
	}
	for i := range sources {
		if err := sources[i].copy(ctx, out, i+1, len(sources), m); err != nil {
			return err
		}
	}
	return nil
}

// meet asks nodes who they are; they must be different ones of one cluster.
func meet(ctx context.Context, admins []string) ([]source, error) {
	if len(admins) > persistence.MaxBackupParts {
		return nil, fmt.Errorf("--admin: %d nodes are more than %d", len(admins), persistence.MaxBackupParts)
	}
	sources := make([]source, len(admins))
	for i, admin := range admins {
		s := &sources[i]
		s.Operator.Admin = admin
		body, err := s.ask(ctx, "GET", "/admin/v1/cluster")
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(body, &s.report); err != nil || s.report.Self == "" {
			return nil, errors.Join(fmt.Errorf("%s did not answer with a cluster: is it a node of this version?", admin), err)
		}
		if s.report.Cluster != sources[0].report.Cluster {
			return nil, fmt.Errorf("%s is of cluster %q, %s of %q: one backup is of one cluster",
				admins[0], plain(sources[0].report.Cluster), admin, plain(s.report.Cluster))
		}
		for j := range i {
			if sources[j].report.Self == s.report.Self {
				return nil, fmt.Errorf("%s and %s are the same node, %s", admins[j], admin, plain(s.report.Self))
			}
		}
	}
	return sources, nil
}

// absent are the live members that keep users and are not among the sources.
func absent(sources []source) (ids []string) {
	asked := map[string]bool{}
	for _, s := range sources {
		asked[s.report.Self] = true
	}
	for _, s := range sources {
		for _, m := range s.report.Members {
			live := m.State == "alive" || m.State == "suspect"
			if live && !asked[m.ID] && slices.Contains(m.Roles, "presence") {
				asked[m.ID] = true
				ids = append(ids, m.ID)
			}
		}
	}
	return ids
}

// copy writes a node's part to out, and verifies it on the way.
func (s *source) copy(ctx context.Context, out io.Writer, part, of int, m *meter) error {
	began := time.Now()
	body, err := s.stream(ctx, fmt.Sprintf("/admin/v1/backup?part=%d&of=%d", part, of))
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // it was read, or failed
	r := persistence.NewBackupReader(io.TeeReader(bufio.NewReaderSize(body, outputBuffer), out))
	head, err := r.NextPart(part, of)
	if id := "n" + strconv.FormatUint(head.Node, 36); err == nil && id != s.report.Self {
		return fmt.Errorf("%s was %s and is %s now: begin again", s.Operator.Admin, plain(s.report.Self), id)
	}
	for err == nil {
		if _, err = r.Read(); err == nil {
			m.show("%s: %d users, %s", plain(s.report.Self), r.Count().Users, size(r.Count().Bytes))
		}
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s did not send its part whole: %w", s.Operator.Admin, err)
	}
	c := r.Count()
	m.say("%s: %d users, %d policies, %s in %.1f s, as of %s", plain(s.report.Self), c.Users, c.Policies, size(c.Bytes),
		time.Since(began).Seconds(), head.Taken.Local().Format("2006-01-02 15:04:05.000"))
	return nil
}
