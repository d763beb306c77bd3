package main

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a message as it stands on the wire.
type field struct {
	number protowire.Number
	kind   protowire.Type
	value  []byte // without the tag
}

func split(body []byte) []field {
	var fields []field
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return nil
		}
		size := protowire.ConsumeFieldValue(number, kind, body[n:])
		if size < 0 {
			return nil
		}
		fields = append(fields, field{number, kind, body[n : n+size]})
		body = body[n+size:]
	}
	return fields
}

func join(fields []field) []byte {
	var body []byte
	for _, f := range fields {
		body = protowire.AppendTag(body, f.number, f.kind)
		body = append(body, f.value...)
	}
	return body
}

// longVarint writes v in more bytes than it needs.
func longVarint(v uint64, extra int) []byte {
	out := protowire.AppendVarint(nil, v)
	for ; extra > 0 && len(out) < 9; extra-- {
		out[len(out)-1] |= 0x80
		out = append(out, 0)
	}
	return out
}

// damage writes the same request as another program could, or breaks it.  What the decoders of 3.5 and
// 3.6 (gogo) and that of 3.7 read differently is kept for 3.7: Cairn decodes as 3.7 does.
func (g *generator) damage(r request) request {
	if len(r.body) == 0 || len(r.body) > 100000 || isStream(r.method) {
		return r
	}
	r.marks = nil
	fields := split(r.body)
	kinds := 5
	if g.level == "3.7" {
		kinds = 9
	}
	switch g.rnd.Intn(kinds) {
	case 0:
		r.body = r.body[:g.rnd.Intn(len(r.body))]
		r.marks = []string{"wire: cut short"}
	case 1:
		r.body = join(append(fields, g.unknownField()))
		r.marks = []string{"wire: unknown field"}
	case 2:
		g.rnd.Shuffle(len(fields), func(i, j int) {
			if fields[i].number != fields[j].number {
				fields[i], fields[j] = fields[j], fields[i]
			}
		})
		r.body = join(fields)
		r.marks = []string{"wire: other order"}
	case 3:
		r.body = join(g.longer(fields))
		r.marks = []string{"wire: long varints"}
	case 4:
		r.body = join(append([]field{g.scalarAgain(fields)}, fields...))
		r.marks = []string{"wire: scalar twice"}
	case 5:
		r.body = append([]byte(nil), r.body...)
		r.body[g.rnd.Intn(len(r.body))] ^= byte(1 << g.rnd.Intn(8))
		r.marks = []string{"wire: bit flipped"}
	case 6:
		r.body = join(append(fields, fields[g.rnd.Intn(len(fields))]))
		r.marks = []string{"wire: field again"}
	case 7:
		at := g.rnd.Intn(len(fields))
		fields[at] = field{fields[at].number, protowire.Fixed32Type, []byte{1, 2, 3, 4}}
		r.body = join(fields)
		r.marks = []string{"wire: other wire type"}
	default:
		r.body = append([]byte(nil), r.body...)
		g.rnd.Read(r.body[g.rnd.Intn(len(r.body)):])
		r.marks = []string{"wire: random tail"}
	}
	return r
}

func (g *generator) unknownField() field {
	number := protowire.Number(100 + g.rnd.Intn(1000))
	switch g.rnd.Intn(4) {
	case 0:
		return field{number, protowire.VarintType, longVarint(g.rnd.Uint64()>>1, 0)}
	case 1:
		return field{number, protowire.Fixed64Type, make([]byte, 8)}
	case 2:
		return field{number, protowire.Fixed32Type, make([]byte, 4)}
	default:
		return field{number, protowire.BytesType, protowire.AppendBytes(nil, []byte("unknown"))}
	}
}

func (g *generator) longer(fields []field) []field {
	for i, f := range fields {
		if f.kind == protowire.VarintType {
			v, _ := protowire.ConsumeVarint(f.value)
			fields[i].value = longVarint(v, 1+g.rnd.Intn(3))
		}
	}
	return fields
}

// scalarAgain is a varint of the message with another value, to stand before it: the last one wins.
func (g *generator) scalarAgain(fields []field) field {
	for _, f := range fields {
		if f.kind == protowire.VarintType {
			return field{f.number, f.kind, protowire.AppendVarint(nil, uint64(g.rnd.Intn(3)))}
		}
	}
	return g.unknownField()
}
