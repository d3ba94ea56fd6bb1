package rotationevents

import (
	"encoding/json"
	"fmt"
)

// Secrets Manager's events come through CloudTrail with two detail types
// (Secrets Manager user guide, "AWS CloudTrail entries for Secrets Manager" and
// "Match Secrets Manager events with Amazon EventBridge").
const (
	byItself = "AWS Service Event via CloudTrail" // the secret is additionalEventData.SecretId, an ARN
	byCaller = "AWS API Call via CloudTrail"      // the secret is requestParameters.secretId, as the caller wrote it
)

// pattern is an event pattern or a part of one.
type pattern map[string]any

func (p pattern) json() (string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("write event pattern: %w", err)
	}
	return string(text), nil
}

// changed matches what gives a secret of the stack a new current version, and
// what may: who puts a pending version only makes the same call.
func changed(args Args) pattern {
	return pattern{
		"source": []string{"aws.secretsmanager"},
		"$or": []pattern{
			{
				"detail-type": []string{byItself},
				"detail": pattern{
					"eventName":           []string{"RotationSucceeded"},
					"additionalEventData": pattern{"SecretId": args.secrets()},
				},
			},
			{
				"detail-type": []string{byCaller},
				"detail": pattern{
					"eventName":         []string{"PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage"},
					"errorCode":         []pattern{{"exists": false}},
					"requestParameters": pattern{"secretId": args.secrets()},
				},
			},
		},
	}
}

// failed matches rotations of the stack's secrets that need somebody. The test
// is the one that Secrets Manager makes when a rotation is switched on.
func failed(args Args) pattern {
	return pattern{
		"source":      []string{"aws.secretsmanager"},
		"detail-type": []string{byItself},
		"detail": pattern{
			"eventName":           []string{"RotationFailed", "RotationAbandoned", "TestRotationFailed"},
			"additionalEventData": pattern{"SecretId": args.secrets()},
		},
	}
}

// secrets matches the stack's secrets, by name or ARN.
func (a Args) secrets() []pattern {
	return []pattern{
		{"prefix": a.SecretPrefix},
		{"prefix": a.arn("secretsmanager", "secret:"+a.SecretPrefix)},
	}
}
