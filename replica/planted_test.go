package replica

import "testing"

// Each planted mistake must be found within so many seeds.
var planted = map[string]struct {
	plant
	within uint64
}{
	"ack before replica":           {plant{machine: bugs{ackEarly: true}}, 100},
	"drop before digest":           {plant{machine: bugs{dropEarly: true}}, 100},
	"merge by arrival":             {plant{mergeArrivals: true}, 100},
	"no gather on takeover":        {plant{machine: bugs{noGather: true}}, 100},
	"answers of another view":      {plant{machine: bugs{anyTable: true}}, 300},
	"a member that was away":       {plant{machine: bugs{noSerial: true}}, 300},
	"stand-in gathers as an owner": {plant{machine: bugs{ownerOnly: true}}, 300},
}

func TestPlantedMistakesAreFound(t *testing.T) {
	for name, c := range planted {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= c.within; seed++ {
				if w := play(seed, c.plant, false); w.failure != "" {
					t.Logf("seed %d: %s", seed, w.failure)
					return
				}
			}
			t.Errorf("not found within %d seeds", c.within)
		})
	}
}
