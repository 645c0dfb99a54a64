package auth_test

import (
	"context"
	"crypto"
	"strconv"
	"testing"
	"time"

	"rollcall/gateway/auth"
)

// BenchmarkVerify: cold pays for a signature, cached for one SHA-256.
func BenchmarkVerify(b *testing.B) {
	for _, s := range []signer{es256(b, "k"), edDSA(b, "k"), rs256(b, "k")} {
		b.Run("cold/"+s.method.Alg(), func(b *testing.B) { benchCold(b, s) })
	}
	b.Run("cached", func(b *testing.B) {
		s := es256(b, "k")
		v := benchVerifier(b, s)
		raw := s.sign(b, userClaims("dev", start), nil)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(context.Background(), raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchCold(b *testing.B, s signer) {
	v := benchVerifier(b, s)
	const lot = 256 // tokens signed at a time, outside the measured time
	raws := make([]string, lot)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n%lot == 0 {
			b.StopTimer()
			for i := range raws {
				raws[i] = s.sign(b, with(userClaims("dev", start), map[string]any{"jti": strconv.Itoa(n + i)}), nil)
			}
			b.StartTimer()
		}
		if _, err := v.Verify(context.Background(), raws[n%lot]); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

func benchVerifier(b *testing.B, s signer) *auth.Verifier {
	v, err := auth.New(context.Background(), auth.Config{
		Keys:     map[string][]crypto.PublicKey{"dev": {s.key.Public()}},
		Audience: audience, Now: func() time.Time { return start },
	})
	return must(b, v, err)
}
