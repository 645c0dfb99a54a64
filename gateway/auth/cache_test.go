package auth_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"rollcall/gateway/auth"
)

func TestCacheHitChecksNoSignature(t *testing.T) {
	key := es256(t, "ec")
	c := &clock{at: start}
	conf := auth.Config{
		Keys:     map[string][]crypto.PublicKey{"dev": {key.key.Public()}},
		Audience: audience, Now: c.now,
	}
	v, err := auth.New(context.Background(), conf)
	must(t, v, err)
	checked, err := auth.CountStatic(v, "dev", audience, conf)
	must(t, checked, err)
	raw := key.sign(t, userClaims("dev", start), nil)
	first := accept(t, v, raw)
	for range 100 {
		if again := accept(t, v, raw); again != first {
			t.Fatalf("from memory %+v, first %+v", again, first)
		}
	}
	if n := checked.Load(); n != 1 {
		t.Fatalf("%d signatures checked for one token, want 1", n)
	}

	bad := es256(t, "ec").sign(t, userClaims("dev", start), nil)
	for range 2 {
		_, err := v.Verify(context.Background(), bad)
		wantErr(t, err, auth.ErrInvalid, bad)
	}
	if n := checked.Load(); n != 3 {
		t.Fatalf("%d signatures checked, want 3: a refusal must not be remembered", n)
	}

	c.advance(auth.CacheLife)
	accept(t, v, raw) // exp + leeway is not reached yet
	if n := checked.Load(); n != 4 {
		t.Fatalf("%d signatures checked, want 4: memory lasts an hour", n)
	}
}

func TestExpiryIsHonouredInMemory(t *testing.T) {
	key := es256(t, "ec")
	c := &clock{at: start}
	v, err := auth.New(context.Background(), auth.Config{
		Keys:     map[string][]crypto.PublicKey{"dev": {key.key.Public()}},
		Audience: audience, Now: c.now,
	})
	must(t, v, err)
	raw := key.sign(t, with(userClaims("dev", start), map[string]any{"exp": start.Add(10 * time.Minute).Unix()}), nil)
	id := accept(t, v, raw)
	c.advance(id.Expires.Sub(start) - time.Nanosecond)
	accept(t, v, raw)
	c.advance(time.Nanosecond)
	_, err = v.Verify(context.Background(), raw)
	wantErr(t, err, auth.ErrExpired, raw)
}

func TestCacheIsBounded(t *testing.T) {
	var c auth.Cache
	id := auth.Identity{Expires: start.Add(time.Hour)}
	for i := range 2 * auth.CacheEntries {
		c.Put(hashOf(i), id, start)
	}
	if n := c.Len(); n > auth.CacheEntries || n < auth.CacheEntries/2 {
		t.Fatalf("%d entries after %d tokens, want at most %d and at least half", n, 2*auth.CacheEntries, auth.CacheEntries)
	}
	if !c.Get(hashOf(2*auth.CacheEntries-1), start) {
		t.Fatal("the newest token is forgotten")
	}
	if c.Get(hashOf(0), start) {
		t.Fatal("the oldest token is still there")
	}
}

func TestCacheKeepsWhatIsUsed(t *testing.T) {
	var c auth.Cache
	id := auth.Identity{Expires: start.Add(time.Hour)}
	used := hashOf(0)
	c.Put(used, id, start)
	for i := range 2 * auth.CacheEntries {
		c.Put(hashOf(i+1), id, start)
		if i%(auth.Generation/2) == 0 && !c.Get(used, start) {
			t.Fatalf("a token in use was forgotten after %d others", i)
		}
	}
}

func hashOf(i int) [sha256.Size]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
}
