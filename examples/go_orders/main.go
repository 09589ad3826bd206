// A service that takes part in a rollout at level 1 (docs/PARTICIPATE.md): one boolean flag, asked through its
// OpenFeature SDK once per unit of work, decides which side of the change the unit reads and writes.
//
// POUNDLOCK_URL names the server, PGHOST and its like the database, FIRST_ID the first of the 500 rows that
// this service owns, STATS_FILE where it says once a second how it fares. SIGTERM ends it.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log"
	"math/rand"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	_ "github.com/lib/pq"
	"github.com/open-feature/go-sdk/openfeature"
)

const flag = "schema_v2_migration"

type statistics struct {
	ReadsLegacy  int    `json:"reads_legacy"`
	ReadsNew     int    `json:"reads_new"`
	WritesLegacy int    `json:"writes_legacy"`
	WritesNew    int    `json:"writes_new"`
	Errors       int    `json:"errors"`
	Lost         int    `json:"lost"`
	LastError    string `json:"last_error"`
}

type service struct {
	flags    *openfeature.Client
	database *sql.DB
	firstID  int
	written  map[int]string
	stats    statistics
}

func (s *service) unitOfWork(ctx context.Context, turn int) error {
	row := s.firstID + rand.Intn(500)
	kind := "public"
	if turn%10 == 0 {
		kind = "internal"
	}
	// The key is the owner of the row, never the request: one owner stays on one side. The error is only the
	// reason of a default; legacy is the right side then.
	isNew, _ := s.flags.BooleanValue(ctx, flag, false,
		openfeature.NewEvaluationContext(fmt.Sprintf("order-%d", row), map[string]any{"context": kind}))
	column, reads, writes := "legacy_status", &s.stats.ReadsLegacy, &s.stats.WritesLegacy
	if isNew {
		column, reads, writes = "new_status", &s.stats.ReadsNew, &s.stats.WritesNew
	}
	if turn%5 == 0 {
		status := fmt.Sprintf("st_%03d", turn%1000)
		if _, err := s.database.ExecContext(ctx, "UPDATE orders SET "+column+" = $1 WHERE id = $2", status, row); err != nil {
			return err
		}
		s.written[row] = status
		*writes++
		return nil
	}
	var id int
	var status sql.NullString
	err := s.database.QueryRowContext(ctx, "SELECT id, "+column+" AS status FROM orders WHERE id = $1", row).Scan(&id, &status)
	if err != nil {
		return err
	}
	*reads++
	// Only this worker writes these rows: what it wrote it has to read, on either side.
	if expected, mine := s.written[row]; mine && status.String != expected {
		s.stats.Lost++
	}
	return nil
}

func (s *service) saveStats() {
	file := os.Getenv("STATS_FILE")
	text, _ := json.Marshal(s.stats)
	if err := os.WriteFile(file+".new", text, 0o644); err != nil {
		log.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		log.Fatal(err)
	}
}

func main() {
	// A domain of its own: whatever provider the rest of the application uses stays as it is.
	provider := newOFREPProvider(os.Getenv("POUNDLOCK_URL"))
	if err := openfeature.SetNamedProviderAndWait("schema", provider); err != nil {
		log.Fatal(err)
	}
	database, err := sql.Open("postgres", "sslmode=disable") // the rest comes from PGHOST and its like
	if err != nil {
		log.Fatal(err)
	}
	firstID, err := strconv.Atoi(os.Getenv("FIRST_ID"))
	if err != nil {
		firstID = 1
	}
	s := &service{flags: openfeature.NewClient("schema"), database: database, firstID: firstID, written: map[int]string{}}

	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	saving := time.NewTicker(time.Second)
	for turn := 1; ; turn++ {
		if err := s.unitOfWork(context.Background(), turn); err != nil {
			s.stats.Errors++
			s.stats.LastError = err.Error()
		}
		select {
		case <-ended:
			s.saveStats()
			return
		case <-saving.C:
			s.saveStats()
		case <-time.After(2 * time.Millisecond):
		}
	}
}
