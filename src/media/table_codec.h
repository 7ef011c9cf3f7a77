// Tables as tokens: <|endoftext|> and the columns of a row in some order: a token that says which
// column comes, of which nothing is to be learned, and its outcome's. Why so: table_rules.h.
#pragma once

#include "media/codec.h"
#include "media/table_schema.h"

namespace enxuto {

class TableCodec : public MediaCodec {
 public:
  static Result<std::unique_ptr<MediaCodec>> learn(const CodecRequest& request,
                                                   const Progress& progress);
  static Result<std::unique_ptr<MediaCodec>> open(const Metadata& metadata);

  const Metadata& metadata() const override { return metadata_; }
  uint32_t context() const override { return schema_.row_tokens(); }
  std::string description() const override { return describe(schema_); }
  // Each row stands there in several orders of its columns, another row after those.
  Result<DataCounts> write_tokens(const std::vector<std::string>& paths, uint64_t fingerprint,
                                  const std::string& out, const Progress& progress) const override;
  const TableSchema& schema() const { return schema_; }

 private:
  TableCodec(Metadata metadata, TableSchema schema)
      : metadata_(std::move(metadata)), schema_(std::move(schema)) {}
  Metadata metadata_;
  TableSchema schema_;
};

}  // namespace enxuto
