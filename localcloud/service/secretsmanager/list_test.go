package secretsmanager_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/require"
)

func TestListingsAreSortedAndPagedWhateverHappensBetweenThem(t *testing.T) {
	b := newBench(t)
	create := func(name string) {
		_, err := b.client.CreateSecret(t.Context(), &sm.CreateSecretInput{Name: &name, SecretString: aws.String("v")})
		require.NoError(t, err)
		require.NoError(t, b.clock.Advance(t.Context(), time.Minute))
	}
	list := func(by types.SortByType, order types.SortOrderType, filters ...types.Filter) (names []string) {
		pages := sm.NewListSecretsPaginator(b.client, &sm.ListSecretsInput{MaxResults: aws.Int32(2), SortBy: by, SortOrder: order, Filters: filters})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			require.NoError(t, err)
			require.NotEmpty(t, page.SecretList)
			for _, s := range page.SecretList {
				names = append(names, *s.Name)
			}
		}
		return names
	}
	for _, name := range []string{"b", "d", "a", "c"} {
		create(name)
	}
	require.Equal(t, []string{"c", "a", "d", "b"}, list("", ""))
	require.Equal(t, []string{"b", "d", "a", "c"}, list(types.SortByTypeCreatedDate, types.SortOrderTypeAsc))
	require.Equal(t, []string{"a", "b", "c", "d"}, list(types.SortByTypeName, types.SortOrderTypeAsc))
	require.Equal(t, []string{"a", "b"}, list(types.SortByTypeName, types.SortOrderTypeAsc,
		types.Filter{Key: types.FilterNameStringTypeName, Values: []string{"!c", "!d"}}))

	create("aa")
	_, err := b.client.DeleteSecret(t.Context(), &sm.DeleteSecretInput{SecretId: aws.String("a")})
	require.NoError(t, err)
	_, err = b.client.DeleteSecret(t.Context(), &sm.DeleteSecretInput{SecretId: aws.String("c"), ForceDeleteWithoutRecovery: aws.Bool(true)})
	require.NoError(t, err)
	_, err = b.client.UpdateSecret(t.Context(), &sm.UpdateSecretInput{SecretId: aws.String("b"), Description: aws.String("changed")})
	require.NoError(t, err)
	require.Equal(t, []string{"aa", "b", "d"}, list(types.SortByTypeName, types.SortOrderTypeAsc))
	require.Equal(t, []string{"aa", "d", "b"}, list(types.SortByTypeCreatedDate, types.SortOrderTypeDesc))
	require.Equal(t, []string{"b", "aa", "d"}, list(types.SortByTypeLastChangedDate, types.SortOrderTypeDesc))
}
