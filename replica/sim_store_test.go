package replica

import (
	"math/bits"
	"time"
)

const (
	maxElements = 512
	registers   = 3
)

// record is what is known of a user: elements that are there or not, registers
// of which the newer stamp stays, and the version announced last.
type record struct {
	elements [maxElements / 64]uint64
	stamps   [registers]uint64
	version  uint64
}

func (r *record) add(element int)      { r.elements[element/64] |= 1 << (element % 64) }
func (r *record) has(element int) bool { return r.elements[element/64]&(1<<(element%64)) != 0 }

// merge tells whether o brought anything, and whether it was more than a
// version.
func (r *record) merge(o *record) (changed, content bool) {
	was := *r
	for i := range r.elements {
		r.elements[i] |= o.elements[i]
	}
	for i := range r.stamps {
		r.stamps[i] = max(r.stamps[i], o.stamps[i])
	}
	content = *r != was
	r.version = max(r.version, o.version)
	return *r != was, content
}

// overwrite is the planted mistake: what comes last stays.
func (r *record) overwrite(o *record, whole bool) {
	if whole {
		*r = *o
		return
	}
	for i := range r.elements {
		r.elements[i] |= o.elements[i]
	}
	for i := range r.stamps {
		if o.stamps[i] != 0 {
			r.stamps[i] = o.stamps[i]
		}
	}
	if o.version != 0 {
		r.version = o.version
	}
}

func (r *record) digest(user int) uint64 {
	if *r == (record{}) {
		return 0
	}
	h := simHash(uint64(user) + 1)
	for _, e := range r.elements {
		h = simHash(h ^ e)
	}
	for _, s := range r.stamps {
		h = simHash(h ^ s)
	}
	return simHash(h ^ r.version)
}

func simHash(x uint64) uint64 {
	x = (x ^ x>>31) * 0x9e3779b97f4a7c15
	return bits.RotateLeft64((x^x>>29)*0xbf58476d1ce4e5b9, 17)
}

// disk outlasts processes.
type disk struct {
	users [simUsers]record
	since [maxElements]time.Duration // when an element came
	roots [simShards]uint64
	free  time.Duration // when the last write in the queue is done
	full  bool
}

func (d *disk) count(shard uint16) {
	d.roots[shard] = 0
	for u := int(shard); u < simUsers; u += simShards {
		d.roots[shard] += d.users[u].digest(u)
	}
}

// put merges what is to be stored.
func (d *disk) put(w *world, user int, r *record, whole bool) (changed bool) {
	was := d.users[user]
	if w.plant.mergeArrivals {
		d.users[user].overwrite(r, whole)
	} else {
		d.users[user].merge(r)
	}
	if d.users[user] == was {
		return false
	}
	for i, e := range d.users[user].elements {
		for e &^= was.elements[i]; e != 0; e &= e - 1 {
			d.since[i*64+bits.TrailingZeros64(e)] = w.now
		}
	}
	d.count(uint16(user % simShards))
	return true
}

func (d *disk) drop(shard uint16, root uint64) bool {
	if d.roots[shard] != root || root == 0 {
		return false
	}
	for u := int(shard); u < simUsers; u += simShards {
		d.users[u] = record{}
	}
	d.count(shard)
	return true
}

// part is what goes over the network: some of the users of a shard.
type part struct {
	users   []int
	records []record
	whole   bool
}

func (p *part) put(w *world, d *disk) (changed []int) {
	for i, u := range p.users {
		if d.put(w, u, &p.records[i], p.whole) {
			changed = append(changed, u)
		}
	}
	return changed
}

// have is what a member that pulls says of its users.
type have [simUsers / simShards]uint64

func (d *disk) have(shard uint16) (h have) {
	for i := range h {
		u := int(shard) + i*simShards
		h[i] = d.users[u].digest(u)
	}
	return h
}

// page gives one user that differs, and where to go on.
func (d *disk) page(shard uint16, h have, after any) (p *part, next any) {
	from := 0
	if after != nil {
		from = after.(int)
	}
	p = &part{whole: true}
	for i := from; i < len(h); i++ {
		u := int(shard) + i*simShards
		if dg := d.users[u].digest(u); dg == 0 || dg == h[i] {
			continue
		}
		if len(p.users) > 0 {
			return p, i
		}
		p.users, p.records = append(p.users, u), append(p.records, d.users[u])
	}
	return p, nil
}
