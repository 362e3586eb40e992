// The best approximation of a low-rank product by one of smaller rank (Eckart and Young 1936): thin
// QR of both factors, then the singular values of the small core, by one-sided Jacobi rotations
// (Hestenes 1958). In double, in one fixed order.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "export/adapter_folder.h"

namespace dlm {

namespace {

constexpr int kMaxSweeps = 60;

// Column-major: column j of n numbers begins at j * n.
using Columns = std::vector<double>;

double dot(const double* a, const double* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// Gram-Schmidt with a second pass: q [n, k] becomes orthonormal, r [k, k] upper triangular
// (column-major). A column that depends on those before it becomes zero.
void thin_qr(Columns& q, Columns& r, int64_t n, int64_t k) {
  r.assign(static_cast<size_t>(k * k), 0.0);
  for (int64_t j = 0; j < k; ++j) {
    double* column = q.data() + j * n;
    const double before = std::sqrt(dot(column, column, n));
    for (int pass = 0; pass < 2; ++pass) {
      for (int64_t i = 0; i < j; ++i) {
        const double* other = q.data() + i * n;
        const double part = dot(other, column, n);
        r[static_cast<size_t>(j * k + i)] += part;
        for (int64_t l = 0; l < n; ++l) column[l] -= part * other[l];
      }
    }
    const double norm = std::sqrt(dot(column, column, n));
    const bool is_new = norm > 1e-12 * before && norm > 0;
    if (is_new) r[static_cast<size_t>(j * k + j)] = norm;
    for (int64_t l = 0; l < n; ++l) column[l] = is_new ? column[l] / norm : 0.0;
  }
}

// Rotates the columns of u [k, k] until they are orthogonal, and v along: u_before = u v^T.
void jacobi(Columns& u, Columns& v, int64_t k) {
  v.assign(static_cast<size_t>(k * k), 0.0);
  for (int64_t i = 0; i < k; ++i) v[static_cast<size_t>(i * k + i)] = 1;
  for (int sweep = 0; sweep < kMaxSweeps; ++sweep) {
    bool has_turned = false;
    for (int64_t p = 0; p + 1 < k; ++p) {
      for (int64_t q = p + 1; q < k; ++q) {
        double* a = u.data() + p * k;
        double* b = u.data() + q * k;
        const double aa = dot(a, a, k);
        const double bb = dot(b, b, k);
        const double ab = dot(a, b, k);
        if (std::abs(ab) <= 1e-15 * std::sqrt(aa * bb)) continue;
        has_turned = true;
        const double zeta = (bb - aa) / (2 * ab);
        const double t = (zeta >= 0 ? 1.0 : -1.0) / (std::abs(zeta) + std::sqrt(1 + zeta * zeta));
        const double c = 1 / std::sqrt(1 + t * t);
        const double s = c * t;
        for (double* columns : {u.data(), v.data()}) {
          for (int64_t i = 0; i < k; ++i) {
            const double x = columns[p * k + i];
            const double y = columns[q * k + i];
            columns[p * k + i] = c * x - s * y;
            columns[q * k + i] = s * x + c * y;
          }
        }
      }
    }
    if (!has_turned) return;
  }
}

}  // namespace

std::pair<double, double> cut_to_rank(std::vector<float>& b, std::vector<float>& a, int64_t out,
                                      int64_t in, int64_t from, int64_t rank) {
  Columns qb(static_cast<size_t>(out * from));
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t j = 0; j < from; ++j) {
      qb[static_cast<size_t>(j * out + o)] =
          static_cast<double>(b[static_cast<size_t>(o * from + j)]);
    }
  }
  Columns qa(a.begin(), a.end());  // the rows of A are the columns of A^T
  Columns rb, ra;
  thin_qr(qb, rb, out, from);
  thin_qr(qa, ra, in, from);
  // core = Rb Ra^T, [from, from].
  Columns core(static_cast<size_t>(from * from), 0.0);
  for (int64_t j = 0; j < from; ++j) {
    for (int64_t l = 0; l < from; ++l) {
      const double factor = ra[static_cast<size_t>(l * from + j)];  // Ra[j, l]
      if (factor == 0) continue;
      for (int64_t i = 0; i < from; ++i) {
        core[static_cast<size_t>(j * from + i)] += rb[static_cast<size_t>(l * from + i)] * factor;
      }
    }
  }
  Columns v;
  jacobi(core, v, from);  // core before = core v^T; its columns are U S
  std::vector<double> squares(static_cast<size_t>(from));
  std::vector<int64_t> order(static_cast<size_t>(from));
  std::iota(order.begin(), order.end(), 0);
  double whole = 0;
  for (int64_t j = 0; j < from; ++j) {
    const double* column = core.data() + j * from;
    squares[static_cast<size_t>(j)] = dot(column, column, from);
    whole += squares[static_cast<size_t>(j)];
  }
  std::stable_sort(order.begin(), order.end(), [&](int64_t x, int64_t y) {
    return squares[static_cast<size_t>(x)] > squares[static_cast<size_t>(y)];
  });
  double cut = 0;
  for (int64_t j = rank; j < from; ++j)
    cut += squares[static_cast<size_t>(order[static_cast<size_t>(j)])];

  // Both factors get the root of each singular value, so that neither is much larger.
  b.assign(static_cast<size_t>(out * rank), 0.0f);
  a.assign(static_cast<size_t>(rank * in), 0.0f);
  for (int64_t r = 0; r < rank; ++r) {
    const int64_t j = order[static_cast<size_t>(r)];
    const double sigma = std::sqrt(squares[static_cast<size_t>(j)]);
    if (sigma == 0) continue;
    const double root = std::sqrt(sigma);
    std::vector<double> left(static_cast<size_t>(out), 0.0);
    std::vector<double> right(static_cast<size_t>(in), 0.0);
    for (int64_t l = 0; l < from; ++l) {
      const double x = core[static_cast<size_t>(j * from + l)] / root;
      const double y = v[static_cast<size_t>(j * from + l)] * root;
      for (int64_t o = 0; o < out; ++o)
        left[static_cast<size_t>(o)] += qb[static_cast<size_t>(l * out + o)] * x;
      for (int64_t i = 0; i < in; ++i)
        right[static_cast<size_t>(i)] += qa[static_cast<size_t>(l * in + i)] * y;
    }
    for (int64_t o = 0; o < out; ++o) {
      b[static_cast<size_t>(o * rank + r)] = static_cast<float>(left[static_cast<size_t>(o)]);
    }
    for (int64_t i = 0; i < in; ++i) {
      a[static_cast<size_t>(r * in + i)] = static_cast<float>(right[static_cast<size_t>(i)]);
    }
  }
  return {cut, whole};
}

}  // namespace dlm
