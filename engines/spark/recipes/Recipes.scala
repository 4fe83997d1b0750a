package weir

import org.apache.spark.sql.{DataFrame, Dataset, Encoder, Encoders}
import org.apache.spark.sql.streaming.{ExpiredTimerInfo, OutputMode, StatefulProcessor, TimeMode, TimerValues}

/** What groups rows: a key may be null. */
case class Key(k: String)

/** An event as it comes in. `us`: its time, in microseconds since 1970. `o`: its offset, the order of arrival in a batch.
  * `gone`: it deletes its key. `table`: it is a version, and not an event that looks for one.
  */
case class Event(k: String, i: String, v: Option[Long], us: Long, o: Long, gone: Boolean, table: Boolean)

/** What a processor says. */
case class Said(k: String, i: String, v: Option[Long], us: Long)

/** What is true of a key from a time on; nothing, if it is gone. */
case class Version(us: Long, v: Option[Long], gone: Boolean)

/** What tells apart the events of a key that wait. */
case class Waiting(us: Long, o: Long)

/** A timer fires when the watermark, of whole milliseconds, reaches the one that it was registered for. */
object Due {
  /** When the watermark is past an instant. */
  def after(us: Long): Long = Math.floorDiv(us, 1000L) + 1

  /** When the watermark has reached an instant. */
  def at(us: Long): Long = -Math.floorDiv(-us, 1000L)
}

/** Operators that Spark does not have, as stateful processors. Each takes and returns plain frames. */
object Recipes {
  private implicit val keys: Encoder[Key] = Encoders.product[Key]
  private implicit val events: Encoder[Event] = Encoders.product[Event]
  private implicit val said: Encoder[Said] = Encoders.product[Said]
  private implicit val lanes: Encoder[Lane] = Encoders.product[Lane]
  private implicit val records: Encoder[Record] = Encoders.product[Record]
  private implicit val totals: Encoder[Total] = Encoders.product[Total]

  def upsert(frame: DataFrame, clocked: Boolean): DataFrame = run(frame, new Upsert(clocked), clocked).toDF()

  def absence(frame: DataFrame, afterUs: Long): DataFrame = run(frame, new Absence(afterUs), clocked = true).toDF()

  def listening(frame: DataFrame, afterUs: Long): DataFrame =
    run(frame, new Listening(-Math.floorDiv(-afterUs, 1000L)), TimeMode.ProcessingTime()).toDF()

  def lookup(frame: DataFrame, byArrival: Boolean, keepsAll: Boolean): DataFrame = {
    val processor = if (byArrival) new LatestLookup(keepsAll) else new ValidLookup(keepsAll)
    run(frame, processor, clocked = !byArrival).toDF()
  }

  /** `ttlUs` below zero: nothing is forgotten. */
  def running(frame: DataFrame, ttlUs: Long, atMost: Int): DataFrame =
    run(frame, new Running(ttlUs, atMost), clocked = ttlUs >= 0).toDF()

  def guard(frame: DataFrame, mostUs: Long): DataFrame = judge(frame, new Guard(mostUs), TimeMode.None())

  def late(frame: DataFrame): DataFrame = judge(frame, new Late, TimeMode.EventTime())

  private def judge(frame: DataFrame, processor: StatefulProcessor[Lane, Record, Record], time: TimeMode): DataFrame =
    frame.groupBy("p").as[Lane, Record].transformWithState(processor, time, OutputMode.Append()).toDF()

  private def run[O: Encoder](frame: DataFrame, processor: StatefulProcessor[Key, Event, O], clocked: Boolean): Dataset[O] =
    run(frame, processor, if (clocked) TimeMode.EventTime() else TimeMode.None())

  private def run[O: Encoder](frame: DataFrame, processor: StatefulProcessor[Key, Event, O], time: TimeMode): Dataset[O] =
    frame.groupBy("k").as[Key, Event].transformWithState(processor, time, OutputMode.Append())
}
