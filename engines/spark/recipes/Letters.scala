package weir

import org.apache.spark.sql.Encoders
import org.apache.spark.sql.streaming._

/** What groups records: a partition of the input. */
case class Lane(p: Int)

/** A record with what was read of it. `untilUs`: the watermark from which on it is late. */
case class Record(
    k: String,
    i: String,
    v: Option[Long],
    us: Option[Long],
    o: Long,
    p: Int,
    raw: Array[Byte],
    untilUs: Option[Long],
    future: Boolean)

/** Marks what is too far ahead of the highest time seen in its partition, record by record. */
class Guard(mostUs: Long) extends StatefulProcessor[Lane, Record, Record] {
  @transient private var highest: ValueState[Long] = _

  override def init(output: OutputMode, time: TimeMode): Unit =
    highest = getHandle.getValueState("highest", Encoders.scalaLong, TTLConfig.NONE)

  override def handleInputRows(lane: Lane, rows: Iterator[Record], timers: TimerValues): Iterator[Record] = {
    var top = if (highest.exists()) Some(highest.get()) else None
    val judged = rows.toSeq.sortBy(_.o).map { record =>
      val ahead = record.us.exists(us => top.exists(us > _ + mostUs))
      if (!ahead) top = (top ++ record.us).maxOption
      record.copy(future = ahead)
    }
    top.foreach(highest.update)
    judged.iterator
  }
}

/** Passes on what Spark's operators drop as late: they go by the watermark of the batch before, which a timer notes. */
class Late extends StatefulProcessor[Lane, Record, Record] {
  @transient private var before: ValueState[Long] = _

  override def init(output: OutputMode, time: TimeMode): Unit =
    before = getHandle.getValueState("before", Encoders.scalaLong, TTLConfig.NONE)

  override def handleInputRows(lane: Lane, rows: Iterator[Record], timers: TimerValues): Iterator[Record] = {
    if (!before.exists()) {
      before.update(0)
      getHandle.registerTimer(1)
    }
    val nowUs = before.get() * 1000
    rows.filter(_.untilUs.exists(_ <= nowUs)).toSeq.sortBy(_.o).iterator
  }

  /** After the data of every batch with a new watermark. */
  override def handleExpiredTimer(lane: Lane, timers: TimerValues, expired: ExpiredTimerInfo): Iterator[Record] = {
    before.update(timers.getCurrentWatermarkInMs())
    getHandle.registerTimer(timers.getCurrentWatermarkInMs() + 1)
    Iterator.empty
  }
}
