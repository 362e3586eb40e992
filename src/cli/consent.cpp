#include "cli/consent.h"

#include <unistd.h>

#include <iostream>

#include "bases/license.h"
#include "cli/console.h"
#include "store/license_register.h"
#include "support/clock.h"
#include "support/error.h"
#include "support/text.h"

namespace dlm {

std::optional<LicenseAcceptance> known_consent(const ConsentRequest& request) {
  const auto license = gated_license(request.base);
  if (!license) return std::nullopt;
  return acceptance_of(license->url, license->spdx, request.base, request.home, request.of_store);
}

std::optional<LicenseAcceptance> require_license(const ConsentRequest& request) {
  const auto license = gated_license(request.base);
  if (!license) return std::nullopt;
  if (auto known = known_consent(request)) return known;
  LicenseAcceptance given{format_utc(system_clock().unix_seconds()), std::string(license->url),
                          std::string(license->spdx), "cli_flag"};
  if (!request.is_given) {
    bool has_agreed = false;
    if (request.may_ask && is_at_terminal()) {
      say("base " + request.base + " is given under the licence at " + given.license_url);
      has_agreed = agrees("Accept and continue?");
      given.via = "interactive";
    }
    if (!has_agreed) {
      throw Error(ErrorKind::kLicense, "the licence of base " + request.base + " is not accepted",
                  "read " + given.license_url + ", then say --i-accept-license" +
                      (request.may_ask ? "" : " to `dlm train` or `dlm bases pull`"));
    }
  }
  record_license(request.home, request.base, given);
  return given;
}

bool is_at_terminal() {
  return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDERR_FILENO) != 0;
}

bool agrees(const std::string& question) {
  say(question + " [y/N]");
  std::string answer;
  std::getline(std::cin, answer);
  answer = lower_ascii(trim(answer));
  return answer == "y" || answer == "yes";
}

}  // namespace dlm
