package pipeline

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// checkUnpromoted refuses to deploy to a stage that has one before it, unless
// there is a reason.
func (p *Pipeline) checkUnpromoted(report *Report) {
	switch {
	case p.options.Before == nil:
	case p.options.Unpromoted != "":
		report.warn(fmt.Sprintf("deployed without %s having run it: %s", p.options.Before.Name(), p.options.Unpromoted))
	default:
		report.refuse(GatePromotion, "", fmt.Sprintf("%s gets what %s has run", report.Stack, p.options.Before.Name()))
		report.next(fmt.Sprintf("pipeline promote %s; in an emergency pipeline up %s --unpromoted '<reason>'", report.Stack, report.Stack))
	}
}

// checkPromotion refuses to promote what the stage before hasn't run, or not
// with success, or not as its last.
func (p *Pipeline) checkPromotion(ctx context.Context, report *Report) {
	before := p.options.Before
	if before == nil {
		report.refuse(GatePromotion, "", report.Stack+" is the first stage: nothing comes before it")
		report.next("pipeline up " + report.Stack)
		return
	}
	last, err := history(ctx, before)
	if err != nil {
		report.fail("", err.Error())
		return
	}
	again := fmt.Sprintf("deploy this revision to %s first: pipeline up %[1]s, or pipeline promote %[1]s if a stage comes before it", before.Name())
	refuse := func(format string, values ...any) {
		report.refuse(GatePromotion, "", fmt.Sprintf(format, values...))
		report.next(again)
	}
	switch {
	case last == nil:
		refuse("nothing was ever deployed to %s", before.Name())
		return
	case last.Kind != string(apitype.UpdateUpdate):
		refuse("the last that was done to %s is: %s", before.Name(), last.Kind)
		return
	case last.Result != "succeeded":
		refuse("the last deployment to %s hasn't succeeded: %s", before.Name(), last.Result)
		return
	}
	ran, known := parseMessage(last.Message)
	switch {
	case !known:
		refuse("the last deployment to %s was not by the pipeline, so it isn't known what it was", before.Name())
	case ran.Dirty || p.options.Revision.Dirty:
		refuse("files differed from the commit, so it isn't known whether they are the same: %s has %s, this is %s", before.Name(), ran, p.options.Revision)
	case ran.Commit != p.options.Revision.Commit:
		refuse("%s has another commit, %s, than this, %s", before.Name(), ran.Commit, p.options.Revision.Commit)
	case ran.Artifacts != p.options.Revision.Artifacts:
		refuse("%s has other artifacts, %s, than these, %s", before.Name(), ran.Artifacts, p.options.Revision.Artifacts)
	default:
		p.log("%s ran %s with success", before.Name(), ran)
	}
}
