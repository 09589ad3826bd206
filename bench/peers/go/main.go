// Times flagd's own evaluator on the flags and contexts of flag_bench, which builds and starts this:
//
//	peer FLAGS.json CONTEXTS.json EVALUATIONS
//
// One line of JSON as node/peers.mjs has it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"sort"
	"strconv"
	"syscall"

	"github.com/open-feature/flagd/core/pkg/evaluator"
	"github.com/open-feature/flagd/core/pkg/logger"
	"github.com/open-feature/flagd/core/pkg/store"
	"github.com/open-feature/flagd/core/pkg/sync"
	"go.uber.org/zap"
)

const rounds = 5

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/open-feature/flagd/core" {
				return module.Version
			}
		}
	}
	return "?"
}

// CPU time of the process in nanoseconds: what other programs take from the machine is not in it.
func cpuTime() int64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func main() {
	flags, err := os.ReadFile(os.Args[1])
	must(err)
	text, err := os.ReadFile(os.Args[2])
	must(err)
	var contexts []map[string]any
	must(json.Unmarshal(text, &contexts))
	evaluations, err := strconv.Atoi(os.Args[3])
	must(err)

	log := logger.NewLogger(zap.NewNop(), false)
	flagStore, err := store.NewStore(log, []string{"bench"})
	must(err)
	engine := evaluator.NewJSON(log, flagStore)
	must(engine.SetState(sync.DataSync{FlagData: string(flags), Source: "bench"}))

	ctx := context.Background()
	evaluate := func(key string, user map[string]any) bool {
		value, _, _, _, err := engine.ResolveBooleanValue(ctx, "", key, user)
		must(err)
		return value
	}
	nanoseconds := func(key string) float64 {
		taken := []float64{}
		for round := -1; round < rounds; round++ {
			begin := cpuTime()
			for i := 0; i < evaluations; i++ {
				evaluate(key, contexts[i&(len(contexts)-1)])
			}
			if round >= 0 {
				taken = append(taken, float64(cpuTime()-begin)/float64(evaluations))
			}
		}
		sort.Float64s(taken)
		return taken[len(taken)/2]
	}
	in := 0
	for _, user := range contexts {
		if evaluate("percentage", user) {
			in++
		}
	}
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"name":          "flagd's Go evaluator " + version(),
		"static_ns":     nanoseconds("fixed"),
		"targeted_ns":   nanoseconds("targeted"),
		"percentage_ns": nanoseconds("percentage"),
		"in":            in,
	}))
}
