#include "train/run_log.h"

namespace dlm {

void RunLog::write(const char* type, Json event) {
  event.set("type", type);
  event.set("timestamp", format_utc(clock_.unix_seconds()));
  file_.write(event.dump_sorted(-1) + "\n");
}

}  // namespace dlm
