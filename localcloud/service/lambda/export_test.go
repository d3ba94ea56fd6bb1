package lambda

import "time"

// SetSettleTime changes how long creations and updates take.
func (s *Service) SetSettleTime(d time.Duration) { s.settleTime = d }
