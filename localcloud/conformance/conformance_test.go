package conformance

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

var update = flag.Bool("update", false, "write CONFORMANCE.md anew; needs moto_server")

// testCase is one thing that AWS does.
type testCase struct {
	service string
	name    string
	// moto is nil where moto does the same.
	moto *difference
	run  func(p *probe)
}

// difference says why moto fails a case.
type difference struct {
	answers string // what moto does
	settles string // where AWS documents what the case asks for
}

// allCases in the order of the page.
func allCases() []testCase {
	return slices.Concat(
		secretCases(), versionCases(), stageCases(), deletionCases(), listCases(), batchCases(),
		tagCases(), policyCases(), passwordCases(), replicaCases(), rotationCases(),
		keyCases(), identityCases(), functionCases(),
	)
}

func TestConformance(t *testing.T) {
	cases := allCases()
	seen := map[string]bool{}
	for _, c := range cases {
		require.False(t, seen[c.service+c.name], "two cases are called %s/%s", c.service, c.name)
		seen[c.service+c.name] = true
	}
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	t.Run("localcloud", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.service+"/"+c.name, func(t *testing.T) {
				assert.Empty(t, newProbe(t, c, cloud.Config).judge(c.run))
			})
		}
	})
	var moto *motoServer
	t.Run("moto", func(t *testing.T) {
		if testing.Short() {
			t.Skip("moto takes its time")
		}
		if moto = startMoto(t); moto == nil {
			t.Skip("moto_server is not on the PATH: judged the local cloud only")
		}
		for _, c := range cases {
			t.Run(c.service+"/"+c.name, func(t *testing.T) { judgeMoto(t, c, moto.config) })
		}
	})
	checkPage(t, page(cases, moto))
}

func judgeMoto(t *testing.T, c testCase, config func(string) aws.Config) {
	failure := newProbe(t, c, config).judge(c.run)
	switch {
	case failure != "" && c.moto == nil:
		t.Errorf("moto differs and the case doesn't explain it:\n%s", failure)
	case failure == "" && c.moto != nil:
		t.Errorf("moto no longer differs; the case says: %s", c.moto.answers)
	case failure != "":
		t.Logf("as explained: %s", failure)
	}
}

// motoServer is a moto that the test started.
type motoServer struct{ url, version string }

func (m *motoServer) config(region string) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: &m.url,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}
}

// startMoto returns nil where there is no moto_server.
func startMoto(t *testing.T) *motoServer {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		return nil
	}
	port := freePort(t)
	address := "127.0.0.1:" + port
	var output bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, "-H", "127.0.0.1", "-p", port)
	cmd.Stdout, cmd.Stderr = &output, &output
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	up := func() bool {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}
	require.Eventually(t, up, 5*time.Minute, 50*time.Millisecond, "moto_server doesn't listen")
	version := "unknown"
	if out, err := exec.CommandContext(t.Context(), "python3", "-c", "import moto; print(moto.__version__)").Output(); err == nil {
		version = strings.TrimSpace(string(out))
	}
	return &motoServer{url: "http://" + address, version: version}
}

// freePort returns a port that nobody listens on, below those that Linux gives
// to others by itself: moto takes seconds until it listens.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		port := strconv.Itoa(20000 + rand.IntN(10000))
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:"+port)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		require.NoError(t, err)
		require.NoError(t, listener.Close())
		return port
	}
}

// page is CONFORMANCE.md.
func page(cases []testCase, moto *motoServer) string {
	var services []string
	total, differs := map[string]int{}, map[string]int{}
	for _, c := range cases {
		if !slices.Contains(services, c.service) {
			services = append(services, c.service)
		}
		total[c.service]++
		if c.moto != nil {
			differs[c.service]++
		}
	}
	version := "unknown"
	if moto != nil {
		version = moto.version
	}
	var b strings.Builder
	b.WriteString("# Conformance of the local cloud\n\n")
	b.WriteString("<!-- Made by `go test ./conformance -update`; a test checks that it is current. -->\n\n")
	b.WriteString("The local cloud is an emulator. These contract tests are written once, against the AWS SDK, and ask for what AWS documents. They run against the local cloud and against [moto](https://github.com/getmoto/moto), which others wrote. They have not run against AWS.\n\n")
	fmt.Fprintf(&b, "Compared with moto %s.\n\n", version)
	b.WriteString("| service | cases | local cloud passes | moto passes |\n|---|---|---|---|\n")
	for _, s := range services {
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", s, total[s], total[s], total[s]-differs[s])
	}
	all, different := len(cases), 0
	for _, n := range differs {
		different += n
	}
	fmt.Fprintf(&b, "| all | %d | %d | %d |\n\n", all, all, all-different)
	b.WriteString("## Where moto differs\n\n| service | case | moto | settled by |\n|---|---|---|---|\n")
	for _, c := range cases {
		if c.moto != nil {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.service, c.name, c.moto.answers, c.moto.settles)
		}
	}
	return b.String()
}

var versionLine = regexp.MustCompile(`(?m)^Compared with moto .*$`)

// checkPage compares the page with the file, all but the version of moto, which
// is that of the machine where it was written.
func checkPage(t *testing.T, want string) {
	t.Helper()
	path := filepath.Join("..", "CONFORMANCE.md")
	if *update && !t.Failed() {
		require.NotContains(t, want, "moto unknown", "-update needs moto_server")
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	have, err := os.ReadFile(path)
	require.NoError(t, err)
	if versionLine.ReplaceAllString(want, "") != versionLine.ReplaceAllString(string(have), "") {
		t.Error("CONFORMANCE.md is not current: go test ./conformance -update")
	}
}
