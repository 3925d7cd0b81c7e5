"""What every client of librdkafka here needs: settings, what errors mean, outages, its end."""
