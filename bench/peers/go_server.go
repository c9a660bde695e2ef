// go_server.go - CloseWrite, read until EOF, Close: a goroutine a connection
//
// go.c starts it.  Standard input has numbers, standard output gets answers.
// It serves from the listener in descriptor 3, or closes connections: first it
// reads how many there are, and their descriptors.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const replySize = 256 * 1024

// closeConn is net's way to a half-close; true: the peer ended its side.
func closeConn(c *net.TCPConn, limit time.Duration) bool {
	defer c.Close()
	if c.CloseWrite() != nil || c.SetReadDeadline(time.Now().Add(limit)) != nil {
		return false
	}
	_, err := io.Copy(io.Discard, c)
	return err == nil
}

func closeAll(conns []*net.TCPConn, limit time.Duration) int64 {
	var ok int64
	var wg sync.WaitGroup

	for _, c := range conns {
		wg.Add(1)
		go func(c *net.TCPConn) {
			defer wg.Done()
			if closeConn(c, limit) {
				atomic.AddInt64(&ok, 1)
			}
		}(c)
	}
	wg.Wait()
	return ok
}

func serve(l net.Listener, requests int) {
	var wg sync.WaitGroup

	reply := bytes.Repeat([]byte("x"), replySize)
	for i := 0; i < requests; i++ {
		c, err := l.Accept()
		if err != nil {
			fail(err)
		}
		wg.Add(1)
		go func(c *net.TCPConn) {
			defer wg.Done()
			c.Write(reply)
			closeConn(c, 30*time.Second)
		}(c.(*net.TCPConn))
	}
	wg.Wait()
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "go_server:", err)
	os.Exit(1)
}

// conn takes a descriptor over.
func conn(fd int) *net.TCPConn {
	f := os.NewFile(uintptr(fd), "connection")
	c, err := net.FileConn(f)
	if err != nil {
		fail(err)
	}
	f.Close()
	return c.(*net.TCPConn)
}

// number is the next one of standard input; at its end the program ends.
func number(in *bufio.Reader) int {
	var n int

	if _, err := fmt.Fscan(in, &n); err != nil {
		os.Exit(0)
	}
	return n
}

func main() {
	var conns []*net.TCPConn
	var l net.Listener
	var err error

	in := bufio.NewReader(os.Stdin)
	if os.Args[1] == "serve" {
		if l, err = net.FileListener(os.NewFile(3, "listener")); err != nil {
			fail(err)
		}
	} else {
		for n := number(in); n > 0; n-- {
			conns = append(conns, conn(number(in)))
		}
	}
	fmt.Println(0)
	for {
		n := number(in)
		limit := time.Duration(number(in)) * time.Millisecond
		if l != nil {
			serve(l, n)
			fmt.Println(n)
			continue
		}
		fmt.Println(closeAll(conns[:n], limit))
		conns = conns[n:]
	}
}
