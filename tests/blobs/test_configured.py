"""Where blobs are kept, as it is configured."""

import pytest

from plexstream.model.errors import ConfigError
from plexstream.node.setup.config import load_config


def test_without_a_word_they_are_in_the_data_folder(tmp_path):
    config = load_config(data=tmp_path / "d é")
    assert config.blobs().url == (tmp_path / "d é" / "blobs").as_uri()


def test_on_kafka_there_is_no_folder_that_all_nodes_share():
    assert load_config(kafka="localhost:9092").blobs().url == ""


def test_they_are_where_the_file_says(tmp_path):
    file = tmp_path / "plexstream.toml"
    file.write_text('[blobs]\nurl = "s3://bucket/prefix"\nmax_size = "1MiB"\n')
    assert load_config(file).blobs() == ("s3://bucket/prefix", 1 << 20)


@pytest.mark.parametrize("url", ["s3://", "bucket", "file://relative", "gs://bucket", "file:///", "s3:b"])
def test_what_is_no_store_is_refused(url):
    with pytest.raises(ConfigError, match=r"s3://bucket/prefix"):
        load_config(blobs_url=url)


def test_no_blob_may_be_larger_than_s3_moves():
    with pytest.raises(ConfigError, match="blobs_max_size"):
        load_config(blobs_max_size="6GiB")
