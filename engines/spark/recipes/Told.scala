package org.apache.spark.sql.weir

import org.apache.spark.sql.catalyst.catalog.CatalogTable
import org.apache.spark.sql.classic.{Dataset, SparkSession, StreamingQuery, StreamingQueryManager}
import org.apache.spark.sql.connector.catalog.{Identifier, Table, TableCatalog}
import org.apache.spark.sql.execution.streaming.ProcessingTimeTrigger
import org.apache.spark.sql.internal.SessionState
import org.apache.spark.sql.streaming.{OutputMode, Trigger}
import org.apache.spark.util.Clock

/** Processing time as it is told: it stands still until somebody lets it pass. Only waiting is done by the wall's. */
class Told(startMs: Long) extends Clock {
  @volatile private var nowMs = startMs

  override def getTimeMillis(): Long = nowMs
  override def nanoTime(): Long = nowMs * 1000000

  override def waitTillTime(targetMs: Long): Long = {
    Thread.sleep(Math.max(0, targetMs - nowMs))
    nowMs
  }

  def forward(ms: Long): Unit = nowMs += ms
}

object Told {

  /** Gives the clock to all queries of a session that have a trigger of an interval; before the first one is started.
    *
    * Queries have a clock so that Spark's own tests can exchange it: but of starting one that way nobody else can ask.
    */
  def to(session: SparkSession, startMs: Long): Told = {
    val clock = new Told(startMs)
    val manager = new StreamingQueryManager(session, session.sessionState.conf) {
      override def startQuery(
          name: Option[String],
          other: Option[String],
          checkpoint: Option[String],
          frame: Dataset[_],
          options: Map[String, String],
          sink: Table,
          mode: OutputMode,
          temporary: Boolean,
          recovers: Boolean,
          trigger: Trigger,
          wall: Clock,
          catalog: Option[(TableCatalog, Identifier)],
          table: Option[CatalogTable]): StreamingQuery = {
        val own = if (trigger.isInstanceOf[ProcessingTimeTrigger]) clock else wall
        super.startQuery(
          name, other, checkpoint, frame, options, sink, mode, temporary, recovers, trigger, own, catalog, table)
      }
    }
    val builder = classOf[SessionState].getDeclaredField("streamingQueryManagerBuilder")
    builder.setAccessible(true)
    builder.set(session.sessionState, () => manager)
    require(session.streams eq manager, "The session has started queries before.")
    clock
  }
}
