package dynamodb_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

type attributes = map[string]types.AttributeValue

func s(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
func n(v int) types.AttributeValue    { return &types.AttributeValueMemberN{Value: fmt.Sprint(v)} }

// start gives a table "t" with the partition key p and the sort key n.
func start(t *testing.T) (*localcloud.Cloud, *dynamodb.Client) {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	c := dynamodb.NewFromConfig(cloud.Config("us-east-1"))
	_, err = c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:            aws.String("tab"),
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("p"), AttributeType: "S"}, {AttributeName: aws.String("n"), AttributeType: "N"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("p"), KeyType: "HASH"}, {AttributeName: aws.String("n"), KeyType: "RANGE"}},
	})
	require.NoError(t, err)
	require.NoError(t, dynamodb.NewTableExistsWaiter(c).Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("tab")}, time.Minute))
	return cloud, c
}

func put(t *testing.T, c *dynamodb.Client, item attributes) {
	t.Helper()
	_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("tab"), Item: item})
	require.NoError(t, err)
}

func TestQueriesAreInOrderAndPaged(t *testing.T) {
	_, c := start(t)
	for _, i := range []int{10, 9, 100, 2, 1} {
		put(t, c, attributes{"p": s("a"), "n": n(i), "even": &types.AttributeValueMemberBOOL{Value: i%2 == 0}})
	}
	put(t, c, attributes{"p": s("b"), "n": n(5)})
	query := func(in dynamodb.QueryInput) (got []string) {
		in.TableName = aws.String("tab")
		in.Limit = aws.Int32(2)
		pages := dynamodb.NewQueryPaginator(c, &in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			require.NoError(t, err)
			for _, i := range page.Items {
				got = append(got, i["n"].(*types.AttributeValueMemberN).Value)
			}
		}
		return got
	}
	values := attributes{":p": s("a")}
	assert.Equal(t, []string{"1", "2", "9", "10", "100"}, query(dynamodb.QueryInput{KeyConditionExpression: aws.String("p = :p"), ExpressionAttributeValues: values}))
	assert.Equal(t, []string{"100", "10"}, query(dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("p = :p AND #n > :n"),
		ExpressionAttributeNames:  map[string]string{"#n": "n"},
		ExpressionAttributeValues: attributes{":p": s("a"), ":n": n(9)},
		ScanIndexForward:          aws.Bool(false),
	}))
	assert.Equal(t, []string{"2", "10", "100"}, query(dynamodb.QueryInput{
		KeyConditionExpression: aws.String("p = :p and n between :x and :y"), FilterExpression: aws.String("even = :t"),
		ExpressionAttributeValues: attributes{":p": s("a"), ":x": n(0), ":y": n(1000), ":t": &types.AttributeValueMemberBOOL{Value: true}},
	}))
}

func TestConditions(t *testing.T) {
	_, c := start(t)
	item := attributes{"p": s("a"), "n": n(1), "name": s("hello"), "list": &types.AttributeValueMemberL{Value: []types.AttributeValue{}}}
	put(t, c, item)
	for condition, want := range map[string]bool{
		"attribute_exists(p)":                             true,
		"attribute_not_exists(p)":                         false,
		"attribute_not_exists(q.r)":                       true,
		"#s = :hello":                                     true,
		"#s <> :hello":                                    false,
		"begins_with(#s, :he) AND NOT contains(#s, :x)":   true,
		"size(#s) = :5":                                   true,
		"size(list) = :0":                                 true,
		"attribute_type(#s, :S)":                          true,
		"#s IN (:x, :hello)":                              true,
		"(#s = :x OR n >= :1) AND n < :5":                 true,
		"#s = :x OR #s = :he AND attribute_exists(p)":     false,
		"attribute_not_exists(gone) OR gone < :0":         true,
		"gone = :0":                                       false,
		"n BETWEEN :0 AND :1 AND NOT (n = :0)":            true,
		"attribute_exists(p) and attribute_exists(#s)":    true,
		"contains(#s, :x) or contains(#s, :he)":           true,
		"NOT attribute_exists(p) OR NOT (n <> :1)":        true,
		"attribute_exists(list[0])":                       false,
		"if_not_exists(gone, :hello) = :hello":            true,
		"size(#s) > :1 AND size(#s) <= :5 AND #s > :he":   true,
		"attribute_type(list, :S) OR attribute_exists(x)": false,
	} {
		in := &dynamodb.PutItemInput{TableName: aws.String("tab"), Item: item, ConditionExpression: &condition}
		all := attributes{":hello": s("hello"), ":he": s("he"), ":x": s("x"), ":S": s("S"), ":0": n(0), ":1": n(1), ":5": n(5)}
		for name, v := range all {
			if used(condition, name) {
				if in.ExpressionAttributeValues == nil {
					in.ExpressionAttributeValues = attributes{}
				}
				in.ExpressionAttributeValues[name] = v
			}
		}
		if used(condition, "#s") {
			in.ExpressionAttributeNames = map[string]string{"#s": "name"}
		}
		_, err := c.PutItem(t.Context(), in)
		if want {
			assert.NoError(t, err, condition)
			continue
		}
		var failed *types.ConditionalCheckFailedException
		assert.ErrorAs(t, err, &failed, condition)
	}
}

// used reports whether the substitution stands in the expression as a word.
func used(expression, name string) bool {
	for i := 0; i+len(name) <= len(expression); i++ {
		end := i + len(name)
		if expression[i:end] == name && (end == len(expression) || expression[end] == ' ' || expression[end] == ')' || expression[end] == ',') {
			return true
		}
	}
	return false
}

func TestUpdates(t *testing.T) {
	_, c := start(t)
	key := attributes{"p": s("a"), "n": n(1)}
	update := func(expression string, values attributes) attributes {
		out, err := c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: aws.String("tab"), Key: key, UpdateExpression: &expression, ExpressionAttributeValues: values, ReturnValues: types.ReturnValueAllNew,
		})
		require.NoError(t, err, expression)
		return out.Attributes
	}
	assert.Equal(t, attributes{"p": s("a"), "n": n(1), "count": n(1)},
		update("SET count = if_not_exists(count, :zero) + :one", attributes{":zero": n(0), ":one": n(1)}))
	assert.Equal(t, n(3), update("ADD hits :three", attributes{":three": n(3)})["hits"])
	assert.Equal(t, n(6), update("ADD hits :three REMOVE gone", attributes{":three": n(3)})["hits"])
	got := update("SET a = :x, b = hits - :one REMOVE hits", attributes{":x": s("x"), ":one": n(1)})
	assert.Equal(t, s("x"), got["a"])
	assert.Equal(t, n(5), got["b"], "reads see the item as it was")
	assert.NotContains(t, got, "hits")
}

func TestTransactionsAreAllOrNothing(t *testing.T) {
	_, c := start(t)
	put(t, c, attributes{"p": s("a"), "n": n(1)})
	_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: aws.String("tab"), Item: attributes{"p": s("b"), "n": n(1)}}},
		{Put: &types.Put{TableName: aws.String("tab"), Item: attributes{"p": s("a"), "n": n(1)}, ConditionExpression: aws.String("attribute_not_exists(p)")}},
	}})
	var cancelled *types.TransactionCanceledException
	require.ErrorAs(t, err, &cancelled)
	assert.Equal(t, "ConditionalCheckFailed", *cancelled.CancellationReasons[1].Code)
	out, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("tab"), Key: attributes{"p": s("b"), "n": n(1)}})
	require.NoError(t, err)
	assert.Empty(t, out.Item)
}

func TestTimeToLive(t *testing.T) {
	cloud, c := start(t)
	_, err := c.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{TableName: aws.String("tab"), TimeToLiveSpecification: &types.TimeToLiveSpecification{
		AttributeName: aws.String("until"), Enabled: aws.Bool(true),
	}})
	require.NoError(t, err)
	put(t, c, attributes{"p": s("a"), "n": n(1), "until": n(int(cloud.Clock().Now().Add(time.Hour).Unix()))})
	put(t, c, attributes{"p": s("a"), "n": n(2)})
	require.NoError(t, cloud.Advance(t.Context(), 2*time.Hour))
	out, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("tab")})
	require.NoError(t, err)
	assert.Len(t, out.Items, 1)
}

func TestLeftOverSubstitutionsAreRefused(t *testing.T) {
	_, c := start(t)
	_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: aws.String("tab"), Item: attributes{"p": s("a"), "n": n(1)},
		ConditionExpression: aws.String("attribute_not_exists(p)"), ExpressionAttributeValues: attributes{":x": s("x")},
	})
	assert.ErrorContains(t, err, "unused")
}
