// The OP Stack's own code against an Ashlar proxy: its Alt-DA client (op-alt-da), and the data source from which op-node derives.
//
//	conformance URL           a proxy with store.keccak and the default answers
//	conformance URL memory    the same in memory mode, which is told to fail
//
// It prints what it did, and ends with 1 at the first thing that is not as it should be.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	altda "github.com/ethereum-optimism/optimism/op-alt-da"
	"github.com/ethereum-optimism/optimism/op-node/rollup/derive"
	"github.com/ethereum-optimism/optimism/op-service/eth"
	"github.com/ethereum/go-ethereum/log"
)

func must(ok bool, format string, arguments ...any) {
	if !ok {
		fmt.Printf("NOT AS IT SHOULD BE: "+format+"\n", arguments...)
		os.Exit(1)
	}
}

func payload(seed int64, size int) []byte {
	bytes := make([]byte, size)
	rand.New(rand.NewSource(seed)).Read(bytes)
	return bytes
}

// Commitments as L1 has them.
type inbox struct{ frames []eth.Data }

func (i *inbox) Next(context.Context) (eth.Data, error) {
	if len(i.frames) == 0 {
		return nil, io.EOF
	}
	frame := i.frames[0]
	i.frames = i.frames[1:]
	return frame, nil
}

// L1 without challenges, which generic commitments do not have.
type l1 struct{ derive.L1Fetcher }

func (l1) L1BlockRefByNumber(_ context.Context, number uint64) (eth.L1BlockRef, error) {
	return eth.L1BlockRef{Number: number}, nil
}

// What op-node derives of these commitments, in order.
func source(url string, commitments ...altda.CommitmentData) derive.DataIter {
	logger := log.NewLogger(log.DiscardHandler())
	config := altda.Config{CommitmentType: altda.GenericCommitmentType, ChallengeWindow: 90, ResolveWindow: 90}
	manager := altda.NewAltDAWithStorage(logger, config, altda.NewDAClient(url, false, false), &altda.NoopMetrics{})
	frames := &inbox{}
	for _, commitment := range commitments {
		frames.frames = append(frames.frames, commitment.TxData())
	}
	return derive.NewAltDADataSource(logger, frames, l1{}, manager, 130672, eth.L1BlockRef{Number: 7})
}

func tell(url, change string) {
	answer, err := http.Post(url+"/memstore/config", "application/json", strings.NewReader(change))
	must(err == nil && answer.StatusCode == 200, "the switches: %v", err)
	answer.Body.Close()
}

func main() {
	must(len(os.Args) >= 2, "conformance URL [memory]")
	url, memory := os.Args[1], len(os.Args) > 2
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	generic := altda.NewDAClient(url, false, false)
	keccak := altda.NewDAClient(url, true, true)

	var commitments []altda.CommitmentData
	for seed, size := range []int{1, 31, 120_000, 1_000_000, 16 << 20} {
		sent := payload(int64(seed), size)
		begin := time.Now()
		commitment, err := generic.SetInput(ctx, sent)
		must(err == nil, "a post of %d bytes: %v", size, err)
		must(commitment.CommitmentType() == altda.GenericCommitmentType && len(commitment.TxData()) < 1000, "the commitment %s", commitment)
		posted := time.Since(begin)
		got, err := generic.GetInput(ctx, commitment)
		must(err == nil && bytes.Equal(got, sent), "a read of %d bytes: %v", size, err)
		fmt.Printf("generic, %d bytes: posted in %v, read in %v\n", size, posted, time.Since(begin)-posted)
		again, err := generic.SetInput(ctx, sent)
		must(err == nil, "the same post again: %v", err)
		must(!memory || bytes.Equal(again.Encode(), commitment.Encode()), "another blob")
		if size <= 1_000_000 {
			commitments = append(commitments, commitment)
		}
		named, err := keccak.SetInput(ctx, sent)
		must(err == nil, "a keccak post of %d bytes: %v", size, err)
		got, err = keccak.GetInput(ctx, named)
		must(err == nil && bytes.Equal(got, sent), "a keccak read of %d bytes: %v", size, err)
	}
	fmt.Println("keccak, the same sizes")

	var wait sync.WaitGroup
	for seed := range 8 {
		wait.Go(func() {
			sent := payload(int64(100+seed), 120_000)
			commitment, err := generic.SetInput(ctx, sent)
			must(err == nil, "one of eight posts: %v", err)
			got, err := generic.GetInput(ctx, commitment)
			must(err == nil && bytes.Equal(got, sent), "one of eight reads: %v", err)
		})
	}
	wait.Wait()
	fmt.Println("eight at a time")

	_, err := keccak.GetInput(ctx, altda.NewKeccak256Commitment([]byte("never posted")))
	must(errors.Is(err, altda.ErrNotFound), "a keccak commitment that nobody posted: %v", err)

	// A commitment whose certificate does not hold, between two that do.
	tampered := append([]byte{}, commitments[2].Encode()...)
	tampered[len(tampered)-1] ^= 1
	bad, err := altda.DecodeCommitmentData(tampered)
	must(err == nil, "the tampered commitment: %v", err)
	derived := source(url, commitments[2], bad, altda.NewGenericCommitment([]byte{0xa5, 1, 9}), commitments[3])
	for number, expected := range [][]byte{payload(2, 120_000), {}, {}, payload(3, 1_000_000)} {
		got, err := derived.Next(ctx)
		must(err == nil && bytes.Equal(got, expected), "frame %d: %d bytes, %v", number, len(got), err)
	}
	_, err = derived.Next(ctx)
	must(errors.Is(err, io.EOF), "behind the last frame: %v", err)
	fmt.Println("op-node drops what does not hold, and goes on")

	if memory {
		sent := payload(7, 120_000)
		tell(url, `{"lose_answers": 1}`)
		_, err := generic.SetInput(ctx, sent)
		must(err != nil, "a lost answer is a success")
		commitment, err := generic.SetInput(ctx, sent)
		must(err == nil, "the post after a lost answer: %v", err)
		tell(url, `{"refuse_puts": 1}`)
		_, err = generic.SetInput(ctx, payload(8, 1000))
		must(err != nil && strings.Contains(err.Error(), "500"), "a refused post: %v", err)
		// Operators are away: the chain waits, drops nothing, and goes on.
		tell(url, `{"fail_gets": 2}`)
		derived := source(url, commitment)
		for range 2 {
			_, err = derived.Next(ctx)
			must(errors.Is(err, derive.ErrTemporary), "operators are away: %v", err)
		}
		got, err := derived.Next(ctx)
		must(err == nil && bytes.Equal(got, sent), "operators are back: %v", err)
		fmt.Println("lost answers, refusals, operators away")
	}
	fmt.Println("conforms")
}
