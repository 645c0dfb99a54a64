package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"rollcall/client"
	"rollcall/gateway"
	"rollcall/gateway/auth/devissuer"
	"rollcall/persistence"
	"rollcall/presence"
)

// Bob watches Alice; Alice takes a call.
func ExampleDial() {
	server, token, stop := exampleNode()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	bob, err := client.Dial(ctx, client.Config{Server: server, Token: token("bob")})
	if err != nil {
		log.Panic(err)
	}
	defer func() { _ = bob.Close() }() // never fails
	if err := bob.Watch(ctx, "8:orgid:a11ce000-6c1f-4f0e-a9be-000000000001"); err != nil {
		log.Panic(err)
	}
	fmt.Println(shownBy(<-bob.Changes()))

	alice, err := client.Dial(ctx, client.Config{Server: server, Token: token("alice"), Device: presence.Mobile})
	if err != nil {
		log.Panic(err)
	}
	_, err = alice.Publish(ctx, client.Device{Availability: presence.Busy, Activity: presence.ActInACall})
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(shownBy(<-bob.Changes()))

	if err := alice.SignOut(ctx); err != nil {
		log.Panic(err)
	}
	fmt.Println(shownBy(<-bob.Changes()))
	// Output:
	// Offline Offline
	// Busy InACall
	// Offline Offline
}

func shownBy(p client.Presence) string { return fmt.Sprint(p.Availability, " ", p.Activity) }

// A refusal has a code, a text that says what to do, and a time to wait where
// waiting helps.
func ExampleError() {
	server, token, stop := exampleNode()
	defer stop()
	_, err := client.Post(context.Background(), client.Config{Server: server, Token: token("alice")},
		client.App{Key: "phone", Availability: presence.Busy, Activity: presence.ActInACall, Duration: 9 * time.Hour})
	var refused *client.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Code, refused.RetryAfter)
	}
	// Output: bad_duration 0s
}

// exampleNode starts a node that ends with stop.
func exampleNode() (url string, token func(login string) func(context.Context) (string, error), stop func()) {
	dir, err := os.MkdirTemp("", "rollcall-example")
	if err != nil {
		log.Panic(err)
	}
	public, err := gateway.Listen("127.0.0.1:0")
	if err != nil {
		log.Panic(err)
	}
	url = "http://" + public.Addr().String()
	issuer, err := devissuer.New(devissuer.Config{URL: url + "/dev", Audience: gateway.Audience})
	if err != nil {
		log.Panic(err)
	}
	n, err := gateway.Start(context.Background(), gateway.Config{
		Server: gateway.ServerConfig{Public: public}, Base: url, Issuer: issuer,
		Store: persistence.Config{Dir: dir, NoSync: true, Ballast: -1, Fatal: func(err error) { log.Panic(err) }},
	})
	if err != nil {
		log.Panic(err)
	}
	token = func(login string) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return issuer.UserToken(login, time.Hour) }
	}
	return url, token, func() {
		if err := errors.Join(n.Close(), os.RemoveAll(dir)); err != nil {
			log.Panic(err)
		}
	}
}
