package database

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/sdk/spec"
)

// The example of MariaDB's documentation of the plugin.
func TestEd25519HashIsMariaDBs(t *testing.T) {
	hash, err := ed25519Hash([]byte("secret"))
	require.NoError(t, err)
	assert.Equal(t, "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY", hash)
}

func TestNativeHashIsThatOfTheServer(t *testing.T) {
	f := newMySQLFixture(t)
	for _, password := range []string{"secret", "", "it's \\ \"é🔑", strings.Repeat("x", 300)} {
		assert.Equal(t, f.one(f.admin, "SELECT CONCAT('*', UPPER(SHA1(UNHEX(SHA1(?)))))", password), nativeHash([]byte(password)))
	}
}

// What crypt(3) of the GNU C library makes of passwords, with salts of at most 16
// bytes.
func TestShaCryptIsThatOfTheCLibrary(t *testing.T) {
	for _, example := range []struct {
		password, salt string
		rounds         int
		digest         string
	}{
		{"Hello world!", "saltstring", 5000, "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"},
		{"Hello world!", "saltstringsaltst", 10000, "3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"},
		{"This is just a test", "toolongsaltstrin", 5000, "Un/5jzAHMgOGZ5.mWJpuVolil07guHPvOW8mGRcvxa5"},
		{"a very much longer text to encrypt.  This one even stretches over morethan one line.", "anotherlongsalts", 1400, "Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1"},
	} {
		assert.Equal(t, example.digest, shaCrypt([]byte(example.password), []byte(example.salt), example.rounds))
	}
}

// A hash that a MySQL server has made of a password, with a salt of 20 bytes of
// any kind.
func TestSHA2HashIsMySQLs(t *testing.T) {
	salt, err := hex.DecodeString("F9CC98CE08892924F50A213B6BC571A2C11778C5")
	require.NoError(t, err)
	digest, err := hex.DecodeString("625479393559393965414D45316477456B484F41316E64484742577A2E3162785353526B7554584647562F")
	require.NoError(t, err)
	assert.Equal(t, "$A$005$"+string(salt)+string(digest), sha2Hash([]byte("hashcat"), string(salt)))

	one, err := passwordHash(pluginSHA2, spec.ValueString("p"))
	require.NoError(t, err)
	other, err := passwordHash(pluginSHA2, spec.ValueString("p"))
	require.NoError(t, err)
	assert.Len(t, one, 7+20+43)
	assert.NotEqual(t, one, other, "the salt is the same")
}
