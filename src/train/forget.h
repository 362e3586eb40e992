// `dlm replay forget`: takes sections out of all that a store keeps of its document's text. What an
// adapter has learnt from them stays in its weights; the report names those versions.
#pragma once

#include <string>
#include <vector>

#include "doc/document.h"
#include "store/replay_corpus.h"

namespace dlm {

struct ForgetReport {
  std::vector<std::string> sections;  // ids that are gone, sorted
  // Folders of versions that were trained on one of them, relative to the store. Their copies of
  // the document are gone too, so they cannot be reproduced any more.
  std::vector<std::string> versions;
};

// Removes the sections' text from the history, the token cache and the versions' copies of the
// document, in an order that leaves the history for last: killed in between, the command can be
// given again. Throws Error(kStore) for an id that the history does not have, Error(kUsage) for a
// section that the document still has, which the next run would keep again.
ForgetReport forget_sections(const StoreLayout& store, const Document& document,
                             const std::vector<std::string>& section_ids, const StoreLock& lock,
                             const ReplayWarning& on_warning);

}  // namespace dlm
